" Workflows are JSON with comments; references and types are coloured by the server.
if exists('b:current_syntax') | finish | endif
runtime! syntax/jsonc.vim
let b:current_syntax = 'dw-workflow'
