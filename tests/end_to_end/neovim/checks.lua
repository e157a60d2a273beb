-- What the scripts for a headless Neovim share: one "ok" or "FAIL" line for each check, waiting, the exit code.
local M = { failures = 0 }
local began = vim.uv.hrtime()

function M.check(condition, name, detail)
  if not condition then M.failures = M.failures + 1 end
  local seconds = (vim.uv.hrtime() - began) / 1e9
  io.write(("%s %-40s %5.1f s  %s\n"):format(condition and "ok  " or "FAIL", name, seconds, tostring(detail or "")))
  return condition
end

function M.wait(seconds, condition) return vim.wait(seconds * 1000, condition, 10) end

function M.finish()
  io.write(("%d failed\n"):format(M.failures))
  os.exit(M.failures == 0 and 0 or 1)
end

return M
