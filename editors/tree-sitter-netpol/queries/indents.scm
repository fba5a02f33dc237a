[
  (namespace_body) (service_body) (workload_body) (issuer_body) (gateway_body) (template_body) (test_body)
  (union) (labels) (originations) (use_list) (parameters)
] @indent.begin

[ "}" ")" ] @indent.branch @indent.end
