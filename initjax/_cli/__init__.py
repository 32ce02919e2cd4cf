"""The command line: `initjax list`, `show`, `plan`, `check`, `diff`, `init`."""
