vim.filetype.add({ pattern = { [".*%.dw%.jsonc?"] = "dw-workflow" } })
