---Showing a result: in the terminal where it can show pictures, else with the program that the system has for it.
local M = {}

local CHUNK = 4096
local ROWS = 20

---Whether the terminal knows kitty's protocol for pictures. tmux and screen do not pass it on.
---@return boolean
function M.terminal_shows_pictures()
  if vim.env.TMUX or vim.env.STY or #vim.api.nvim_list_uis() == 0 then return false end
  local program = (vim.env.TERM_PROGRAM or ""):lower()
  return vim.env.KITTY_WINDOW_ID ~= nil
    or (vim.env.TERM or ""):find("kitty") ~= nil
    or program == "ghostty"
    or program == "wezterm"
end

---The escape sequences that show a PNG (kitty's protocol, in chunks as it wants them).
---Source: the terminal graphics protocol of kitty, actions `a=T` (send and show) and `m` (more follows).
---@param data string
---@param rows integer
---@return string
function M.sequence(data, rows)
  local encoded, parts = vim.base64.encode(data), {}
  for start = 1, #encoded, CHUNK do
    local more = start + CHUNK <= #encoded and 1 or 0
    local keys = start == 1 and ("a=T,f=100,q=2,r=%d,m=%d"):format(rows, more) or ("m=%d"):format(more)
    table.insert(parts, ("\27_G%s;%s\27\\"):format(keys, encoded:sub(start, start + CHUNK - 1)))
  end
  return table.concat(parts)
end

---@param path string
---@return string?
local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local data = file:read("*a")
  file:close()
  return data
end

---Show a picture in a window of its own; it goes with the window.
---@param path string
---@param data string
local function show_inline(path, data)
  vim.cmd(("botright %dnew"):format(ROWS + 1))
  local buffer, window = vim.api.nvim_get_current_buf(), vim.api.nvim_get_current_win()
  vim.bo[buffer].buftype, vim.bo[buffer].bufhidden = "nofile", "wipe"
  vim.api.nvim_buf_set_lines(buffer, 0, -1, false, { path })
  vim.cmd.redraw()
  local row, column = unpack(vim.api.nvim_win_get_position(window))
  vim.api.nvim_chan_send(2, ("\27[s\27[%d;%dH"):format(row + 2, column + 1) .. M.sequence(data, ROWS) .. "\27[u")
  vim.api.nvim_create_autocmd("BufWipeout", {
    buffer = buffer,
    once = true,
    callback = function() vim.api.nvim_chan_send(2, "\27_Ga=d,q=2\27\\") end,
  })
end

---Show a file that a run made.
---@param result { path: string, contentType: string }
function M.show(result)
  local data = read(result.path)
  if not data then
    vim.notify(("dw: %s is not there any more"):format(result.path), vim.log.levels.ERROR)
  elseif result.contentType == "image/png" and M.terminal_shows_pictures() then
    show_inline(result.path, data)
  elseif vim.startswith(result.contentType, "text/") or result.contentType == "application/json" then
    vim.cmd.split(vim.fn.fnameescape(result.path))
  else
    local _, problem = vim.ui.open(result.path)
    if problem then vim.notify(("dw: %s (%s)"):format(result.path, problem), vim.log.levels.WARN) end
  end
end

return M
