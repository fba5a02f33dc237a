(comment) @comment
(doc_comment) @comment.documentation
(string) @string

; The words of the language: statements, parts of statements, fields, conditions.
[
  "allow" "deny" "default" "let" "use" "namespace" "service" "workload" "issuer" "gateway" "template" "apply"
  "scope" "assert" "test"
  "host" "at" "via" "where" "except" "in" "notin" "as" "egress" "ingress" "never" "always"
  "labels" "select" "port" "account" "sidecar" "host-network" "url" "jwks" "keys" "audiences" "from" "pods"
  "proxies" "method" "path" "header" "jwt" "subject" "claim" "weight" "each" "param" "prefix"
] @keyword

[ "->" "<->" "=" "!=" "!" ] @operator
[ "{" "}" "(" ")" ] @punctuation.bracket
[ "," ":" "/" ] @punctuation.delimiter

(name) @variable
(host) @string.special
(address) @number
(number) @number
(port_name) @number
((protocol) @constant
  (#any-of? @constant
  "tcp" "udp" "sctp" "icmp" "http" "grpc" "tls" "https"))
(method) @constant.builtin
(any) @operator
(namespace_name) @module
(pod_name) @variable
(object_name) @variable
(account_name) @variable
(label_key) @property
((type) @type
  (#any-of? @type
  "Namespace" "Workloads" "Host" "Addresses" "Endpoint" "Port" "String"))
(module) @module
(annotation "@" @attribute)
((annotation_name) @attribute
  (#any-of? @attribute
  "owner" "reason" "expires" "approximate" "allow"))
(template name: (name) @function)
(apply template: (name) @function)
