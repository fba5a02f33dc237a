//! Limits of Kubernetes and Istio for one object. A list that several objects can share is divided among them; a
//! Sidecar cannot be divided, since a pod obeys one.

/// The most ports of one object: the limit of a ServiceEntry.
pub const MOST_PORTS: usize = 256;

/// The most addresses of one object (`maxItems` in the definition of Istio's ServiceEntry).
pub const MOST_ADDRESSES: usize = 256;

/// The most endpoints of one object (`maxItems` in the definition of Istio's ServiceEntry).
pub const MOST_ENDPOINTS: usize = 4096;

/// The most rules of an AuthorizationPolicy, and the most sources of one rule.
pub const MOST_RULES: usize = 512;

/// The most values in one list of a source, so that a list of any length can be divided.
pub const MOST_VALUES: usize = 1024;

/// The most bytes of YAML in the lists of one object. `kubectl apply` keeps a copy of the object in an annotation, and
/// annotations have 256 KiB together.
pub const MOST_BYTES: usize = 200 * 1024;

/// Returns about how many bytes of YAML a list takes.
pub fn texts<T: AsRef<str>>(list: impl IntoIterator<Item = T>) -> usize {
    // Quotes, a comma and a space stand around each.
    list.into_iter().map(|text| text.as_ref().len() + 4).sum()
}
