"""Real servers for the tests: each starts on free ports of this machine, and is gone when its test is."""
