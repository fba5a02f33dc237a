//! RequestAuthentications.

use super::{NOTHING, istio, istio_in, on_istio, opens, refuses};

const KIND: &str = "RequestAuthentication";
const ISSUER: &str = "issuer login { url \"https://login.example.com\" jwks \"https://login.example.com/keys\" }\n";

fn takes(issuer: &str, keys: &str) -> String {
    istio(
        "security",
        KIND,
        &format!(
            "{{ selector: {{ matchLabels: {{ app: web }} }}, jwtRules: [{{ issuer: \"{issuer}\", jwksUri: \"{keys}\" }}] }}"
        ),
    )
}

#[test]
fn a_token_of_somebody_else_is_refused_where_it_is_brought() {
    let theirs = takes("https://other.example.com", "https://other.example.com/keys");
    let flow = "`lab/tool -> shop/web:8080` with a token of `https://issuer.example.com`";
    assert_eq!(
        on_istio(&theirs, "allow ingress lab/* -> shop/web:8080/http"),
        refuses(KIND, false, "`shop/web`", flow)
    );
    // Where nothing comes in, where nobody reads requests, and of other pods.
    assert_eq!(on_istio(&theirs, "default deny ingress shop/*"), NOTHING);
    assert_eq!(on_istio(&theirs, "allow ingress lab/* -> shop/db:5432"), NOTHING);
    let db = theirs.replace("app: web", "app: db");
    assert_eq!(on_istio(&db, "allow ingress lab/* -> shop/db:5432"), NOTHING);
    // Rules that ask for tokens refuse those of others by themselves, and one more issuer opens nothing.
    let jwt = format!("{ISSUER}allow ingress lab/* -> shop/web:8080/http where jwt login");
    assert_eq!(on_istio(&theirs, &jwt), NOTHING);
    let mesh = istio_in("istio-system", "security", KIND, "{ jwtRules: [{ issuer: \"https://other.example.com\" }] }");
    assert_eq!(on_istio(&mesh, "allow ingress lab/* -> shop/web:8080/http").len(), 1);
}

#[test]
fn other_keys_of_the_same_issuer_let_more_in() {
    let jwt = format!("{ISSUER}allow ingress lab/* -> shop/web:8080/http where jwt login");
    let flow = "`lab/tool -> shop/web:8080` with a token of `https://login.example.com`";
    let theirs = takes("https://login.example.com", "https://elsewhere.example.com/keys");
    assert_eq!(on_istio(&theirs, &jwt), opens(KIND, false, "`shop/web`", flow));
    assert_eq!(on_istio(&takes("https://login.example.com", "https://login.example.com/keys"), &jwt), NOTHING);
}

#[test]
fn one_more_issuer_gives_an_allow_of_others_its_tokens() {
    let theirs = takes("https://other.example.com", "https://other.example.com/keys");
    let allow = istio(
        "security",
        "AuthorizationPolicy",
        "{ selector: { matchLabels: { app: web } }, rules: [{ from: [{ source: { namespaces: [lab], requestPrincipals: [\"*\"] } }] }] }",
    );
    let jwt = format!("{ISSUER}allow ingress shop/* -> shop/web:8080/http where jwt login");
    let only = allow.replace("\"*\"", "\"https://other.example.com/*\"");
    let flow = "`lab/tool -> shop/web:8080` with a token of `https://other.example.com`";
    assert_eq!(
        on_istio(&format!("{only}---\n{theirs}"), &jwt),
        opens("AuthorizationPolicy", false, "`shop/web`", flow)
    );
    assert_eq!(on_istio(&only, &jwt), opens("AuthorizationPolicy", true, "`shop/web`", flow));
}
