[
  (namespace_body) (service_body) (workload_body) (issuer_body) (gateway_body) (template_body) (test_body)
  (union) (originations) (use_list)
] @fold
