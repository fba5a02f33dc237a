# Policies of cluster networks: words, and the server for kakoune-lsp.

hook global BufCreate .*\.netpol %{
    set-option buffer filetype netpol
}

hook -group netpol-highlight global WinSetOption filetype=netpol %{
    add-highlighter window/netpol ref netpol
    hook -once -always window WinSetOption filetype=.* %{ remove-highlighter window/netpol }
}

hook global BufSetOption filetype=netpol %{
    set-option buffer comment_line '#'
    set-option buffer indentwidth 2
    # Without kakoune-lsp there is no such option.
    try %{
        set-option buffer lsp_servers %{
            [netpol]
            root_globs = ["netpol.toml", ".git"]
            command = "netpol"
            args = ["lsp"]
        }
    }
}

add-highlighter shared/netpol regions
add-highlighter shared/netpol/code default-region group
add-highlighter shared/netpol/string region '"' (?<!\\)(\\\\)*"|$ fill string
add-highlighter shared/netpol/documentation region '##' '$' fill documentation
add-highlighter shared/netpol/comment region '#' '$' fill comment
add-highlighter shared/netpol/code/ regex (?<![\w./:@-])(allow|deny|default|let|use|namespace|service|workload|issuer|gateway|template|apply|scope|assert|test|host|at|via|where|except|in|notin|as|egress|ingress|never|always|labels|select|port|account|sidecar|host-network|url|jwks|keys|audiences|from|pods|proxies|method|path|header|jwt|subject|claim|weight|each|param|prefix)(?![\w./-]) 0:keyword
add-highlighter shared/netpol/code/ regex \b(Namespace|Workloads|Host|Addresses|Endpoint|Port|String)\b 0:type
add-highlighter shared/netpol/code/ regex /(tcp|udp|sctp|icmp|http|grpc|tls|https)\b 1:value
add-highlighter shared/netpol/code/ regex (?<!/)@(owner|reason|expires|approximate|allow)\b 0:meta
add-highlighter shared/netpol/code/ regex <?-> 0:operator
