au BufRead,BufNewFile *.netpol setfiletype netpol
