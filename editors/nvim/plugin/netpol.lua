-- Starts the server where Neovim has no `vim.lsp.enable` (before 0.11).
if vim.lsp.enable then
  return
end

vim.api.nvim_create_autocmd("FileType", {
  pattern = "netpol",
  callback = function(event)
    local file = vim.api.nvim_buf_get_name(event.buf)
    local above = vim.fs.find({ "netpol.toml", ".git" }, { upward = true, path = vim.fs.dirname(file) })
    vim.lsp.start({
      name = "netpol",
      cmd = { "netpol", "lsp" },
      root_dir = vim.fs.dirname(above[1] or file),
    })
  end,
})
