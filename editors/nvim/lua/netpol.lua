-- What the lenses of a policy do: the server answers with a text, which a window shows beside the policy.
local M = {}

local function show(error, answer)
  if error or not answer then
    vim.notify(error and error.message or "no answer", vim.log.levels.WARN)
    return
  end
  vim.cmd("botright vnew")
  vim.api.nvim_buf_set_lines(0, 0, -1, false, vim.split(answer.text, "\n"))
  vim.bo.buftype, vim.bo.bufhidden, vim.bo.modified = "nofile", "wipe", false
  vim.bo.filetype = answer.language
end

local function run(command, context)
  local arguments = command.arguments
  if command.command == "netpol.evaluate" and type(arguments[3]) ~= "string" then
    local from = vim.fn.input("From: ")
    local to = vim.fn.input("To: ")
    arguments = { arguments[1], from, to }
  end
  local params = { command = command.command, arguments = arguments }
  vim.lsp.buf_request(context.bufnr, "workspace/executeCommand", params, show)
end

M.commands = {}
for _, name in ipairs({ "showYaml", "explain", "evaluate", "showTests", "showChanges" }) do
  M.commands["netpol." .. name] = run
end

return M
