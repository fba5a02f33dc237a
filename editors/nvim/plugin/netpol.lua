-- Starts the server where Neovim has no `vim.lsp.enable` (before 0.11).
if vim.lsp.enable then
  return
end

vim.lsp.commands = vim.tbl_extend("keep", vim.lsp.commands or {}, require("netpol").commands)

-- One server for each root; 0.7 has only the parts of `vim.lsp.start`.
local started = {}

local function start(buffer, config)
  if vim.lsp.start then
    vim.lsp.start(config)
    return
  end
  started[config.root_dir] = started[config.root_dir] or vim.lsp.start_client(config)
  vim.lsp.buf_attach_client(buffer, started[config.root_dir])
end

vim.api.nvim_create_autocmd("FileType", {
  pattern = "netpol",
  callback = function(event)
    -- What a lens shows is no file.
    if vim.bo[event.buf].buftype ~= "" then
      return
    end
    local folder = vim.fn.fnamemodify(vim.api.nvim_buf_get_name(event.buf), ":p:h")
    local config = vim.fn.findfile("netpol.toml", folder .. ";")
    local root = config ~= "" and vim.fn.fnamemodify(config, ":p:h") or folder
    start(event.buf, {
      name = "netpol",
      cmd = { "netpol", "lsp" },
      root_dir = root,
    })
  end,
})
