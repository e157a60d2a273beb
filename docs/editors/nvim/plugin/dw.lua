if vim.g.loaded_dw then return end
vim.g.loaded_dw = true

if vim.fn.has("nvim-0.11") == 0 then
  vim.notify("dw: Neovim 0.11 or later is needed", vim.log.levels.ERROR)
  return
end

-- For those whose plugins are loaded after the file types.
vim.cmd.runtime("ftdetect/dw.lua")
vim.treesitter.language.register("json", "dw-workflow")
require("dw.commands").define()
-- Off for those who start the server themselves: vim.g.dw_enable = false before the plugin is loaded.
if vim.g.dw_enable ~= false then vim.lsp.enable("dw_lsp") end
