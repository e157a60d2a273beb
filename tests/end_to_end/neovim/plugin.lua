-- The plugin of docs/editors/nvim in a real, headless Neovim, as somebody uses it who has put it on the runtime path.
-- Environment: DW_PYTHON (interpreter with dw-lsp), DW_WORKSPACE (folder with workflows/), DW_PLUGIN (the plugin).
assert(vim.fn.has("nvim-0.11") == 1, "needs Neovim 0.11 or later")
local python, workspace = os.getenv("DW_PYTHON"), os.getenv("DW_WORKSPACE")
local checks = dofile(vim.fs.joinpath(vim.fs.dirname(arg[0]), "checks.lua"))
local check, wait = checks.check, checks.wait

-- What a user's configuration does.
vim.opt.runtimepath:prepend(os.getenv("DW_PLUGIN"))
vim.lsp.config("dw_lsp", {
  cmd = { python, "-m", "dw_lsp" },
  settings = { dw = { diagnostics = { severity = { ["unused-variable"] = "off" } } } },
})
vim.cmd("filetype plugin on")
vim.cmd.runtime("plugin/dw.lua")

local told = {}
vim.notify = function(message, level) table.insert(told, { message = message, level = level or vim.log.levels.INFO }) end
local function said(pattern)
  return vim.iter(told):find(function(each) return each.message:find(pattern) ~= nil end)
end
local opened = {}
vim.ui.open = function(path) table.insert(opened, path) end

-- A JSON file that is no workflow gets no server.
vim.fn.writefile({ '{ "steps": [ { "say": 1 } ] }' }, workspace .. "/other.json")
vim.cmd.edit(workspace .. "/other.json")
vim.wait(300, function() return false end)
check(#vim.lsp.get_clients({ bufnr = 0 }) == 0, "no server for other JSON")
vim.cmd("DwMemory")
check(said("no server runs here"), "a command without a server says what to do")

vim.cmd.edit(workspace .. "/workflows/plain.json")
local buffer = vim.api.nvim_get_current_buf()
check(wait(20, function() return #vim.lsp.get_clients({ bufnr = buffer }) == 1 end), "a workflow is recognised", vim.bo.filetype)
vim.cmd.edit(workspace .. "/workflows/emoji.dw.json")
buffer = vim.api.nvim_get_current_buf()
check(vim.bo[buffer].filetype == "dw-workflow", "filetype", vim.bo[buffer].filetype)
vim.cmd("syntax on")
check(vim.bo[buffer].commentstring == "// %s" and vim.b[buffer].current_syntax == "dw-workflow", "comments and colours")
check(wait(20, function() return #vim.lsp.get_clients({ bufnr = buffer }) == 1 end), "attached")
local client = vim.lsp.get_clients({ bufnr = buffer })[1]
check(#vim.lsp.get_clients({ name = "dw_lsp" }) == 1, "one server for both files")

-- The mistake stands behind emoji and accents.
check(wait(10, function() return #vim.diagnostic.get(buffer) == 1 end), "one diagnostic", #vim.diagnostic.get(buffer))
local found = vim.diagnostic.get(buffer)[1]
local line = vim.api.nvim_buf_get_lines(buffer, found.lnum, found.lnum + 1, false)[1]
check(line:sub(found.col + 1, found.end_col) == '"variable:motiv"', "diagnostic at its token")
vim.cmd("DwRun")
check(wait(10, function() return said("unknown%-variable") end), "a workflow with a mistake is not run")

-- Completion, hover and rename at the same place, in bytes.
local function ask(method, more, column)
  local position = { line = found.lnum, character = column }
  local params = { textDocument = vim.lsp.util.make_text_document_params(buffer), position = position }
  local answer = client:request_sync(method, vim.tbl_extend("force", params, more or {}), 10000, buffer)
  return answer and answer.result, answer and answer.err and answer.err.message
end
local items = ask("textDocument/completion", nil, found.end_col - 1)
local labels = vim.tbl_map(function(item) return item.label end, items and items.items or {})
check(vim.tbl_contains(labels, "variable:prompt"), "completion behind emoji", table.concat(labels, " "):sub(1, 60))
vim.api.nvim_buf_set_text(buffer, found.lnum, found.col, found.lnum, found.end_col, { '"variable:prompt"' })
check(wait(10, function() return #vim.diagnostic.get(buffer) == 0 end), "diagnostic gone after the mend")
local hover = ask("textDocument/hover", nil, found.col + 3)
check(hover and hover.contents.value:find("red square") ~= nil, "hover shows the variable's value")
local edit, refusal = ask("textDocument/rename", { newName = "motif" }, found.col + 12)
if check(edit ~= nil, "rename gives an edit", refusal) then vim.lsp.util.apply_workspace_edit(edit, client.offset_encoding) end
local text = table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, false), "\n")
check(text:find('"motif": "a red square', 1, true) and text:find('"variable:motif"', 1, true), "rename changed both places")

-- The words that :DwRun offers.
local words = vim.fn.getcompletion("DwRun ", "cmdline")
check(vim.tbl_contains(words, "steps=20") or vim.tbl_contains(words, "steps="), "DwRun offers variables", table.concat(words, " "))
check(vim.fn.getcompletion("DwRun ste", "cmdline")[1] == "steps=", "and what they begin with")
check(vim.fn.getcompletion("DwRun steps=", "cmdline")[1] == "steps=20", "and their defaults")

-- A run of the buffer as it is, to a picture.
local state, shown = require("dw.state"), {}
local previews = 0
vim.api.nvim_create_autocmd("User", {
  pattern = "DwChanged",
  callback = function() shown[require("dw").statusline()] = true end,
})
vim.api.nvim_create_autocmd("User", { pattern = "Dw:dw/preview", callback = function() previews = previews + 1 end })
vim.cmd([[DwRun steps=12]])
check(wait(120, function() return state.finished ~= nil end), "run finished", told[#told] and told[#told].message)
check(state.finished.outcome == "succeeded", "outcome", state.finished.outcome)
check(vim.iter(pairs(shown)):any(function(words) return words:find("draw: denoising %d+/12") ~= nil end), "progress in the status line")
check(require("dw").statusline():find("^CPU %d+%.%d/%d+%.%d GB") ~= nil, "memory in the status line", require("dw").statusline())
check(previews > 0, "previews", previews)
check(said("succeeded after"), "the end is told")
vim.cmd("DwResult")
check(opened[1] == state.finished.results[1].path, "DwResult opens the picture")
io.write("picture " .. opened[1] .. "\n")

-- In a terminal that shows pictures it is sent there, in chunks, whole.
local pictures = require("dw.pictures")
check(not pictures.terminal_shows_pictures(), "no picture is sent to a terminal that is none")
local file = assert(io.open(opened[1], "rb"))
local data = file:read("*a")
file:close()
local chunks, sizes = {}, {}
for keys, chunk in pictures.sequence(data, 10):gmatch("\27_G([^;]*);([^\27]*)\27\\") do
  table.insert(chunks, chunk)
  table.insert(sizes, #chunk)
  check(keys:find(#table.concat(chunks) == #vim.base64.encode(data) and "m=0" or "m=1") ~= nil, "more follows or not", keys)
end
check(vim.base64.decode(table.concat(chunks)) == data and math.max(unpack(sizes)) <= 4096, "the picture is sent whole", #data)

-- Up to a step, and memory.
vim.api.nvim_win_set_cursor(0, { vim.fn.search('"name": "draw"', "w"), 0 })
state.finished = nil
vim.cmd("DwRunToHere steps=12")
check(wait(60, function() return state.finished ~= nil end), "DwRunToHere", state.finished and state.finished.outcome)
check(said("1 of 1 steps reused"), "what was reused is told")
vim.cmd("DwMemory")
check(wait(10, function() return said("unet") end), "DwMemory names components")
vim.cmd("DwStatus")
check(wait(10, function() return said("the worker is idle; process %d+") end), "DwStatus")

-- Cancelling, and two runs in the queue.
told, state.finished = {}, nil
vim.cmd("DwRun steps=1000")
check(wait(30, function() local run = state.running() return run and run.progress and run.progress.phase == "denoising" end), "a long run")
vim.cmd("DwRun steps=12")
check(wait(10, function() return said("waits behind 1") end), "the second one waits")
vim.cmd("DwCancel")
check(wait(10, function() return said("cancelled after") end), "DwCancel")
check(wait(30, function() return said("succeeded after") end), "the second one runs")

-- A run that fails: its message stands at the step, and goes with the next run.
told, state.finished = {}, nil
vim.cmd("DwRun steps=nothing")
check(wait(20, function() return said("steps") end), "a wrong value is refused", told[1] and told[1].message)
local sound = vim.api.nvim_buf_get_lines(buffer, 0, -1, false)
vim.cmd([[silent %s#"./models/shapes"#"variable:motif"#]])
vim.cmd("DwRun")
check(wait(30, function() return #vim.diagnostic.get(buffer, { namespace = require("dw.events").namespace }) == 1 end), "a failed run is marked")
vim.api.nvim_buf_set_lines(buffer, 0, -1, false, sound)
told, state.finished = {}, nil
vim.cmd("DwRun steps=12")
check(wait(30, function() return said("succeeded after") end), "and runs again once mended")
check(#vim.diagnostic.get(buffer, { namespace = require("dw.events").namespace }) == 0, "the mark is gone")

-- A crash is shown, and the next run has a new worker.
told, state.finished = {}, nil
local first = state.worker.pid
vim.cmd("DwRun steps=1000")
check(wait(30, function() local run = state.running() return run and run.progress and run.progress.phase == "denoising" end), "a run to be killed")
vim.uv.kill(first, "sigkill")
check(wait(30, function() return said("crashed after .*SIGKILL") end), "the crash is told")
told, state.finished = {}, nil
vim.cmd("DwRun steps=11")
check(wait(90, function() return said("succeeded after") end), "the next run succeeds", told[1] and told[1].message)
check(state.worker.pid ~= first, "in a new worker")
vim.cmd("DwClear")
check(wait(20, function() return state.memory and #state.memory.components == 0 end), "DwClear")

-- The log and the health report.
vim.cmd("DwLog")
check(vim.api.nvim_buf_get_name(0) == "dw://log", "DwLog")
vim.cmd("checkhealth dw")
local report = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n")
check(report:find("diffusers: %d") and report:find("positions in utf%-8") and not report:find("ERROR"), "checkhealth", #report)

vim.cmd("DwShutdown")
client:stop()
check(wait(15, function() return client:is_stopped() end), "server stopped")
checks.finish()
