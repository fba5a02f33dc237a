// The grammar of netpol for editors, made after `grammar/*.pest` of the compiler; a test holds the two against each other.
//
// Words come from `src/scanner.c`, since what a word is depends on what stands around it: `deny` is a namespace in
// `deny/web`, the key of a label in `{deny=yes}`, and the beginning of a statement on a line of its own.

// The words of the language, in the order of `KEYWORDS` in `src/scanner.c`.
const KEYWORDS = [
  "allow", "deny", "default", "let", "use", "namespace", "service", "workload", "issuer", "gateway", "template", "apply",
  "scope", "assert", "test",
  "host", "at", "via", "where", "except", "in", "notin", "as", "egress", "ingress", "never", "always",
  "labels", "select", "port", "account", "sidecar", "host-network", "url", "jwks", "keys", "audiences", "from", "pods",
  "proxies",
  "method", "path", "header", "jwt", "subject", "claim", "weight", "each", "param", "prefix",
];

// One element or more, with commas between them and perhaps one behind the last.
const list = element => seq(element, repeat(seq(",", element)), optional(","));
const plainList = element => seq(element, repeat(seq(",", element)));
const STRING = /"([^"\\\r\n]|\\[^\r\n])*"/;
const slash = token.immediate("/");

module.exports = grammar({
  name: "netpol",

  // The order is that of `enum` in `src/scanner.c`.
  externals: $ => [
    ...KEYWORDS,
    $.name,
    $._host_name,
    $._address,
    $._namespace_name,
    $._key_prefix,
    $._own_namespace,
    $._inner_word,
    $._word,
    $._touching_word,
    $._port_name,
    $._touching_port,
    $.module,
    $._method_name,
    $._stray,
    $._in_recovery,
  ],

  extras: $ => [/[ \t\r\n]/, $.doc_comment, $.comment],

  inline: $ => [$._value, $._string_or_parameter],

  // Braces are a union of endpoints or the labels of namespaces: what follows them decides.
  conflicts: $ => [
    [$._endpoint, $.label_key],
    [$.host, $.label_key],
    [$.address, $.label_key],
    [$.namespace_name, $.label_key],
    [$.pod_name, $.label_key],
  ],

  rules: {
    source_file: $ => repeat($._statement),

    doc_comment: _ => token(prec(1, /##[^\n]*/)),
    comment: _ => token(/#[^\n]*/),

    _statement: $ => choice(
      $.annotated,
      $._plain_statement,
      $._declaration,
    ),
    _plain_statement: $ => choice($.rule, $.default_deny, $.apply, $.assertion),
    _declaration: $ => choice(
      $.binding, $.use, $.namespace, $.service, $.workload, $.issuer, $.gateway, $.template, $.scope, $.test,
    ),

    annotated: $ => seq(repeat1($.annotation), choice($._plain_statement, $._declaration)),
    annotation: $ => seq(
      "@", field("name", alias($._touching_word, $.annotation_name)),
      "(", $._value, optional(seq(",", $._value)), ")",
    ),

    // Rules.
    rule: $ => seq(
      field("effect", choice("allow", "deny")),
      optional($._direction),
      field("source", $._expression),
      field("arrow", choice("->", "<->")),
      field("destination", $._expression),
      repeat($._clause),
    ),
    _direction: _ => field("direction", choice("egress", "ingress")),
    default_deny: $ => seq("default", "deny", optional($._direction), field("subject", $._expression)),
    assertion: $ => seq(
      "assert", field("kind", choice("never", "always")),
      field("source", $._expression), "->", field("destination", $._expression),
      repeat($._clause),
    ),
    scope: $ => seq("scope", field("subject", $._expression), optional($._public_hosts)),
    apply: $ => seq("apply", field("template", $.name), "(", optional(list($._argument)), ")"),
    _argument: $ => choice(
      $._expression,
      $.each,
      $.string,
      alias($._any, $.any),
      alias($._plain_port, $.port),
      alias($._inner_word, $.word),
    ),
    each: $ => seq("each", $.labels),

    _clause: $ => choice($.where, $.via),
    via: $ => seq("via", field("gateway", $.name), optional($._public_hosts)),
    _public_hosts: $ => seq("at", $._texts),
    where: $ => seq("where", choice(
      seq("method", plainList(alias($._method_name, $.method))),
      seq("path", $._texts, optional(seq("except", $._texts))),
      seq("host", $._texts),
      seq("header", field("header", $._value), $._texts),
      seq("jwt", field("issuer", $.name), optional(seq("subject", $._texts)), repeat($.claim)),
    )),
    claim: $ => seq("claim", field("name", $._value), "=", $._texts),
    _texts: $ => plainList($._string_or_parameter),

    // Declarations.
    use: $ => seq("use", choice($.string, $.module), optional($.use_list)),
    use_list: $ => seq("(", list($.use_name), ")"),
    use_name: $ => seq(field("name", $.name), optional(seq("as", field("alias", $.name)))),

    binding: $ => seq("let", field("name", $.name), "=", choice(
      $._expression,
      seq($.named_host, $._addresses, optional($.originations)),
      seq($.named_host, $.originations),
    )),
    _addresses: $ => seq("at", choice($.weighted_address, seq("{", list($.weighted_address), "}"))),
    weighted_address: $ => seq($.address, optional(seq("weight", alias($._word, $.number)))),
    originations: $ => seq("{", repeat1($.origination), "}"),
    origination: $ => seq("port", $.port, "->", $.port),

    namespace: $ => seq("namespace", field("name", $._value), $.namespace_body),
    namespace_body: $ => seq("{", repeat($.labels_field), "}"),
    labels_field: $ => seq("labels", $.given_labels),

    service: $ => seq("service", field("name", $.object), $.service_body),
    service_body: $ => seq("{", repeat(choice($.select_field, $.port_field)), "}"),
    select_field: $ => seq("select", $.given_labels),
    port_field: $ => seq("port", $.port, optional(seq("->", $.port))),

    workload: $ => seq("workload", field("name", $.object), $.workload_body),
    workload_body: $ => seq("{", repeat(choice(
      $.labels_field, $.runs_as_field, $.named_port_field, $.sidecar_field, $.host_network_field,
    )), "}"),
    runs_as_field: $ => seq("account", $._value),
    named_port_field: $ => seq("port", field("name", alias($._word, $.port_name)), $.port),
    sidecar_field: $ => seq("sidecar", alias($._word, $.word)),
    host_network_field: $ => seq("host-network", alias($._word, $.word)),

    issuer: $ => seq("issuer", field("name", $.name), $.issuer_body),
    issuer_body: $ => seq("{", repeat(choice(
      $.url_field, $.jwks_field, $.keys_field, $.audiences_field, $.from_field,
    )), "}"),
    url_field: $ => seq("url", $.string),
    jwks_field: $ => seq("jwks", $.string, optional(seq("at", $._expression))),
    keys_field: $ => seq("keys", $.string),
    audiences_field: $ => seq("audiences", plainList($.string)),
    from_field: $ => seq("from", choice(
      seq("header", $.string, optional(seq("prefix", $.string))),
      seq("param", $.string),
    )),

    gateway: $ => seq("gateway", field("name", $.name), $.gateway_body),
    gateway_body: $ => seq("{", repeat(choice(
      $.pods_field, $.account_field, $.service_field, $.port_field, $.proxies_field,
    )), "}"),
    pods_field: $ => seq("pods", $._expression),
    account_field: $ => seq("account", $._expression),
    service_field: $ => seq("service", $.object),
    proxies_field: $ => seq("proxies", alias($._word, $.number), optional(seq("from", $._expression))),

    template: $ => seq("template", field("name", $.name), $.parameters, $.template_body),
    parameters: $ => seq("(", optional(list($.parameter)), ")"),
    parameter: $ => seq(field("name", $.name), ":", field("type", alias($._inner_word, $.type))),
    template_body: $ => seq("{", repeat(choice(alias($._annotated_line, $.annotated), $._plain_statement)), "}"),
    _annotated_line: $ => seq(repeat1($.annotation), $._plain_statement),

    test: $ => seq("test", field("name", $.string), $.test_body),
    test_body: $ => seq("{", repeat($.test_line), "}"),
    test_line: $ => seq(
      field("effect", choice("allow", "deny")),
      field("source", $._expression), "->", field("destination", $._expression),
      repeat($._clause),
    ),

    // Endpoints: no space stands in one, outside its braces.
    _expression: $ => choice($._endpoint, $.with_ports, $.difference),
    difference: $ => prec.left(seq(
      choice($._endpoint, $.with_ports, $.difference), "except", choice($._endpoint, $.with_ports),
    )),
    with_ports: $ => seq($._endpoint, token.immediate(":"), $._ports),
    _ports: $ => choice(alias($._touching, $.port), $.ports),
    _touching: $ => seq(
      choice(alias(token.immediate("*"), $.any), alias($._touching_port, $.port_name)), optional($._protocol),
    ),
    ports: $ => seq(token.immediate("{"), list($.port), "}"),
    port: $ => choice(seq(alias($._any, $.any), optional($._protocol)), $._plain_port),
    _plain_port: $ => seq(alias($._port_name, $.port_name), optional($._protocol)),
    _protocol: $ => seq(slash, field("protocol", alias($._touching_word, $.protocol))),

    _endpoint: $ => choice(
      $.name,
      $.host,
      $.named_host,
      $.address,
      $.pods,
      $.union,
    ),
    _any: _ => "*",
    host: $ => choice($._host_name, token(/\*\.[A-Za-z0-9._-]*[A-Za-z0-9._]/)),
    named_host: $ => seq("host", field("name", alias($._word, $.host))),
    address: $ => choice($._address, token(/\[[0-9A-Fa-f:.]+(\/[0-9]+)?\]/)),

    pods: $ => seq(field("namespace", $._namespaces), slash, field("pods", choice(
      alias(token.immediate("*"), $.any),
      $.pod_name,
      $.account,
      alias($._touching_labels, $.labels),
    ))),
    _namespaces: $ => choice(
      alias($._any, $.any),
      alias($._own_namespace, $.namespace_name),
      $.namespace_name,
      alias($._namespace_labels, $.labels),
    ),
    namespace_name: $ => choice($._namespace_name, $.string),
    pod_name: $ => choice($._touching_word, alias($._touching_string, $.string)),
    account: $ => seq(token.immediate("@"), choice(
      alias($._touching_word, $.account_name), alias($._touching_string, $.string),
    )),
    object: $ => seq(
      field("namespace", choice($.namespace_name, alias($._own_namespace, $.namespace_name))), slash,
      field("name", alias($.pod_name, $.object_name)),
    ),

    union: $ => seq("{", list($._expression), "}"),

    // Labels: bare keys alone look like a union, and are refused before a `/`.
    labels: $ => seq("{", list($._label), "}"),
    _touching_labels: $ => seq(token.immediate("{"), list($._label), "}"),
    _namespace_labels: $ => seq(
      "{", repeat(seq($.label_key, ",")), $._tested, repeat(seq(",", $._label)), optional(","), "}",
    ),
    given_labels: $ => seq("{", list(alias($._given, $.label)), "}"),
    _given: $ => seq($.label_key, "=", field("value", $._label_value)),
    _label: $ => choice($.label_key, $._tested),
    _tested: $ => choice($.label, $.absent),
    label: $ => choice(
      seq($.label_key, choice("=", "!="), field("value", $._label_value)),
      seq($.label_key, choice("in", "notin"), $.values),
    ),
    absent: $ => seq("!", $.label_key),
    values: $ => seq("(", list($._label_value), ")"),
    _label_value: $ => choice(alias($._inner_word, $.word), $.string),
    label_key: $ => choice(
      $.name,
      $._inner_word,
      $._host_name,
      $._address,
      $.string,
      seq(choice($._namespace_name, $._key_prefix), slash, $._touching_word),
    ),

    _value: $ => choice(alias($._word, $.word), $.string),
    _string_or_parameter: $ => choice($.string, $.name),
    string: _ => token(STRING),
    _touching_string: _ => token.immediate(STRING),
  },
});
