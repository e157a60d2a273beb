---@brief The server's entry for `vim.lsp.config`; change it with `vim.lsp.config("dw_lsp", { ... })`.

---@type vim.lsp.Config
return {
  cmd = { "dw-lsp" },
  filetypes = { "dw-workflow", "json", "jsonc" },
  -- Other JSON files are left alone: for them no server is started.
  root_dir = function(buffer, start)
    if require("dw.workflow").is_workflow(buffer) then
      local name = vim.api.nvim_buf_get_name(buffer)
      start(vim.fs.root(buffer, { ".git", "pyproject.toml", "workflows" }) or vim.fs.dirname(name))
    end
  end,
  handlers = require("dw.events").handlers,
  settings = { dw = {} },
}
