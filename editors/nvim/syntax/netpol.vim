" Words of netpol, for Vim and Neovim. The server colours more, and replaces this where it runs.
if exists("b:current_syntax")
  finish
endif

syn iskeyword @,48-57,-,_,.
syn keyword netpolStatement allow deny default let use namespace service workload issuer gateway template apply scope assert test
syn keyword netpolClause host at via where except in notin as egress ingress never always
syn keyword netpolField labels select port account sidecar host-network url jwks keys audiences from pods proxies
syn keyword netpolDetail method path header jwt subject claim weight each param prefix
syn keyword netpolType Namespace Workloads Host Addresses Endpoint Port String
syn match netpolProtocol "/\(tcp\|udp\|sctp\|icmp\|http\|grpc\|tls\|https\)\>"
syn match netpolAnnotation "/\@<!@\(owner\|reason\|expires\|approximate\|allow\)\>"
syn match netpolArrow "<->\|->"
syn match netpolComment "#.*$"
syn match netpolDocumentation "##.*$"
syn region netpolString start=+"+ skip=+\\.+ end=+"\|$+

hi def link netpolStatement Keyword
hi def link netpolClause Keyword
hi def link netpolField Keyword
hi def link netpolDetail Keyword
hi def link netpolType Type
hi def link netpolProtocol Constant
hi def link netpolAnnotation PreProc
hi def link netpolArrow Operator
hi def link netpolComment Comment
hi def link netpolDocumentation SpecialComment
hi def link netpolString String

let b:current_syntax = "netpol"
