vim.bo.commentstring = "// %s"
vim.bo.expandtab, vim.bo.shiftwidth, vim.bo.softtabstop = true, 2, 2
vim.b.undo_ftplugin = (vim.b.undo_ftplugin and vim.b.undo_ftplugin .. " | " or "") .. "setl com< cms< et< sw< sts<"
