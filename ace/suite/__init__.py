"""The claims as tests: `pytest --pyargs ace.suite --ace-model ./checkpoint`, or a test file of one's own."""
