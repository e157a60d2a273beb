-- The main job in a real, headless Neovim: one "ok" or "FAIL" line for each check, exit code 0 or 1.
-- Environment: DW_PYTHON (interpreter with dw-lsp), DW_WORKSPACE (folder with workflows/).
assert(vim.fn.has("nvim-0.11") == 1, "needs Neovim 0.11 or later")
local python, workspace = os.getenv("DW_PYTHON"), os.getenv("DW_WORKSPACE")
local checks = dofile(vim.fs.joinpath(vim.fs.dirname(arg[0]), "checks.lua"))
local check, wait = checks.check, checks.wait

local heard = {}
local function hear(method)
  heard[method] = {}
  return function(_, result) table.insert(heard[method], result) end
end

vim.filetype.add({ pattern = { [".*%.dw%.jsonc?"] = "dw-workflow" } })
vim.cmd("filetype on")
vim.lsp.config("dw", {
  cmd = { python, "-m", "dw_lsp" },
  filetypes = { "dw-workflow" },
  root_dir = workspace,
  handlers = {
    ["dw/runFinished"] = hear("dw/runFinished"),
    ["dw/memory"] = hear("dw/memory"),
    ["dw/preview"] = hear("dw/preview"),
    ["dw/runProgress"] = hear("dw/runProgress"),
    ["dw/runStarted"] = hear("dw/runStarted"),
    ["dw/stepFinished"] = hear("dw/stepFinished"),
    ["dw/workerState"] = hear("dw/workerState"),
    ["dw/log"] = hear("dw/log"),
  },
})
local progress = {}
vim.api.nvim_create_autocmd("LspProgress", {
  callback = function(event) table.insert(progress, event.data.params.value) end,
})
vim.lsp.enable("dw")
vim.cmd.edit(workspace .. "/workflows/emoji.dw.json")
local buffer = vim.api.nvim_get_current_buf()
check(vim.bo[buffer].filetype == "dw-workflow", "filetype", vim.bo[buffer].filetype)
check(wait(20, function() return #vim.lsp.get_clients({ bufnr = buffer }) == 1 end), "attached")
local client = vim.lsp.get_clients({ bufnr = buffer })[1]
check(client and client.offset_encoding == "utf-8", "position encoding", client and client.offset_encoding)

-- The mistake stands behind emoji and accents: byte columns must be right.
check(wait(10, function() return #vim.diagnostic.get(buffer) == 1 end), "one diagnostic", #vim.diagnostic.get(buffer))
local found = vim.diagnostic.get(buffer)[1] or {}
local line = found.lnum and vim.api.nvim_buf_get_lines(buffer, found.lnum, found.lnum + 1, false)[1] or ""
local marked = line:sub((found.col or 0) + 1, found.end_col)
check(found.code == "unknown-variable" and marked == '"variable:motiv"', "diagnostic at its token", marked)
check(found.source == "dw", "diagnostic source", found.source)

-- Mended in the buffer, not saved.
local mended = line:gsub("variable:motiv", "variable:prompt")
vim.api.nvim_buf_set_lines(buffer, found.lnum, found.lnum + 1, false, { mended })
check(wait(10, function() return #vim.diagnostic.get(buffer) == 0 end), "diagnostic gone after the mend")

-- The lens runs it.
vim.lsp.codelens.refresh({ bufnr = buffer })
check(wait(10, function() return #vim.lsp.codelens.get(buffer) == 2 end), "code lenses", #vim.lsp.codelens.get(buffer))
vim.api.nvim_win_set_cursor(0, { 1, 0 })
vim.lsp.codelens.run()
check(wait(120, function() return #heard["dw/runFinished"] == 1 end), "run finished")
local finished = heard["dw/runFinished"][1] or { results = {} }
check(finished.outcome == "succeeded", "outcome", finished.outcome)
local path = finished.results[1] and finished.results[1].path or ""
check(vim.uv.fs_stat(path) ~= nil, "picture on disk", path)
check(#heard["dw/memory"] > 0 and #heard["dw/preview"] > 0, "memory and previews", #heard["dw/preview"])
check(wait(5, function() return progress[#progress] and progress[#progress].kind == "end" end), "progress ended", #progress)
check(progress[1] and progress[1].title == "emoji 🦊", "progress title", progress[1] and progress[1].title)
io.write("picture " .. path .. "\n")

client:stop()
check(wait(15, function() return client:is_stopped() end), "server stopped")
checks.finish()
