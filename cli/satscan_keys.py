"""The keys of SaTScan's parameter files that a scan here does not read: which it must refuse, which it may ignore."""

from __future__ import annotations

from typing import Final, NamedTuple


class Fixed(NamedTuple):
    """A key that changes the analysis and has one value that is supported."""

    value: str
    only: str
    """What is supported, for the sentence that refuses any other value."""


#: The value that each key must have where it is given.
FIXED: Final[dict[str, Fixed]] = {
    "ScanAreas": Fixed("1", "only areas with high rates (1)"),
    "UseGridFile": Fixed("n", "only circles around the locations themselves (n)"),
    "MultipleDataSetsPurposeType": Fixed("0", "only one data set (0)"),
    "UseLocationsNetworkFile": Fixed("n", "only distances between coordinates (n)"),
    "UseNeighborsFile": Fixed("n", "only distances between coordinates (n)"),
    "UseMetaLocationsFile": Fixed("n", "only locations as they stand in the coordinates file (n)"),
    "MultipleLocationsFile": Fixed("", "only one place for each location"),
    "UseMaxCirclePopulationFileOption": Fixed("n", "only the population at risk limits circles (n)"),
    "IncludePurelyTemporal": Fixed("n", "only clusters in space and time (n)"),
    "IncludePurelySpatial": Fixed("n", "only clusters in space and time (n)"),
    "SpatialWindowShapeType": Fixed("0", "only circular windows (0)"),
    "IsotonicScan": Fixed("0", "only the standard scan (0)"),
    "IncludeClusters": Fixed("0", "only all clusters of the analysis (0)"),
    "RiskLimitHighClusters": Fixed("n", "only clusters of any relative risk (n)"),
    "TimeTrendAdjustmentType": Fixed("0", "only scans without adjustment (0)"),
    "AdjustForWeeklyTrends": Fixed("n", "only scans without adjustment (n)"),
    "SpatialAdjustmentType": Fixed("0", "only scans without adjustment (0)"),
    "UseAdjustmentsByRRFile": Fixed("n", "only scans without adjustment (n)"),
    "AdjustForEarlierAnalyses": Fixed("n", "only analyses on their own (n)"),
    "IterativeScan": Fixed("n", "only a single scan (n)"),
    "PerformStandardDrilldown": Fixed("n", "only scans without drilldown (n)"),
    "PerformBernoulliDrilldown": Fixed("n", "only scans without drilldown (n)"),
    "CalculateOliveira": Fixed("n", "only scans without Oliveira's F (n)"),
    "ProspectiveFrequencyType": Fixed("0", "only one analysis for each time interval (0)"),
    "PerformPowerEvaluation": Fixed("n", "only scans without power evaluation (n)"),
    "ReportHierarchicalClusters": Fixed("y", "only hierarchical clusters (y)"),
    "CriteriaForReportingSecondaryClusters": Fixed("0", "only clusters that share no location (0)"),
    "ReportGiniClusters": Fixed("n", "only hierarchical clusters (n)"),
    "UseReportOnlySmallerClusters": Fixed("n", "only clusters as large as circles may be (n)"),
    "SimulatedDataMethodType": Fixed("0", "only replications under the null hypothesis (0)"),
}

#: Of these in FIXED, only prospective analyses take notice.
PROSPECTIVE_ONLY: Final = frozenset({"AdjustForEarlierAnalyses", "ProspectiveFrequencyType"})

#: Sub-options of what FIXED holds switched off, or of what no supported model has.
_OF_SWITCHED_OFF = """
ControlFile GridFile LocationsNetworkFilename NeighborsFilename MetaLocationsFilename MultipleCoordinatesType
MaxSpatialSizeInMaxCirclePopulationFile MaxCirclePopulationFile NonCompactnessPenalty EllipseShapes EllipseAngles
IntervalStartRange IntervalEndRange RiskThresholdHighClusters
RiskLimitLowClusters RiskThresholdLowClusters MinimumCasesInLowRateClusters
TimeTrendPercentage TimeStratifiedAdjLength TimeTrendType AdjustmentsByKnownRelativeRisksFilename
ProspectiveStartDate IterativeScanMaxIterations IterativeScanMaxPValue
DrilldownMinimumClusterLocations DrilldownMinimumClusterCases DrilldownClusterCutoff
NumBootstrapReplications OliveiraPvalueCutoff ProspectiveFrequency
PowerEvaluationsMethod PowerEvaluationTotalCases CriticalValueType CriticalValue05 CriticalValue01 CriticalValue001
PowerEstimationType NumberPowerReplications AlternativeHypothesisFilename PowerEvaluationsSimulationMethod
PowerEvaluationsSimulationSourceFilename ReportPowerEvaluationSimulationData PowerEvaluationsSimulationOutputFilename
GiniIndexClusterReportingType SpatialMaxima GiniIndexClustersPValueCutOff ReportGiniIndexCoefficents
MaxSpatialSizeInPopulationAtRisk_Reported UseMaxCirclePopulationFileOption_Reported
MaxSizeInMaxCirclePopulationFile_Reported UseDistanceFromCenterOption_Reported
MaxSpatialSizeInDistanceFromCenter_Reported
SimulatedDataInputFilename
"""

#: What SaTScan writes, shows and sends. The results here are the same whatever it says.
_OF_OUTPUT = """
ResultsFile OutputGoogleEarthKML OutputShapefiles OutputCartesianGraph OutputGoogleMaps
MostLikelyClusterEachCentroidASCII MostLikelyClusterEachCentroidDBase
MostLikelyClusterCaseInfoEachCentroidASCII MostLikelyClusterCaseInfoEachCentroidDBase
CensusAreasReportedClustersASCII CensusAreasReportedClustersDBase
IncludeRelativeRisksCensusAreasASCII IncludeRelativeRisksCensusAreasDBase SaveSimLLRsASCII SaveSimLLRsDBase
LaunchMapViewer LaunchKMLViewer CompressKMLtoKMZ IncludeClusterLocationsKML ThresholdLocationsSeparateKML
OutputTemporalGraphHTML TemporalGraphReportType TemporalGraphMostMLC TemporalGraphSignificanceCutoff
ReportGumbel CriticalValue ReportClusterRank PrintAsciiColumnHeaders ResultsTitle CutoffClusterLinelistCSV
LineListIndividualCache EmailAlwaysSummary EmailAlwaysRecipients EmailCutoffSummary EmailCutoffRecipients
EmailCutoffValue EmailAttachResults EmailIncludeResults CustomEmail CustomEmailSubjectLine CustomEmailMessageBody
PrintSimulatedDataToFile SimulatedDataOutputFilename
"""

#: How SaTScan itself runs. Threads and seeds come from options of the command.
_OF_RUNNING = """
NumberParallelProcesses SuppressWarnings LogRunToHistoryFile ExecutionType RandomSeed RandomlyGenerateSeed Version
"""

#: Keys that change nothing here, in lower case.
IGNORED: Final = frozenset(f"{_OF_SWITCHED_OFF} {_OF_OUTPUT} {_OF_RUNNING}".lower().split())
