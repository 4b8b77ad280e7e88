"""What is printed: pictures as SVG, pages as PDF, and the briefing for a meeting."""
