"""The command line: the same analysis, supervisor and worker as in the editor, without one."""
