//! What Kubernetes takes of one object. What can be said by several objects is divided; a Sidecar cannot be, since a pod
//! obeys one.

/// How many ports one object lists at most: the limit of a ServiceEntry.
pub const MOST_PORTS: usize = 256;

/// How many endpoints one object has at most (`maxItems` in the definition of Istio's ServiceEntry).
pub const MOST_ENDPOINTS: usize = 4096;

/// How many rules an AuthorizationPolicy has at most, and how many sources one of them.
pub const MOST_RULES: usize = 512;

/// How many values one list of a source has at most, so that a list of any length can be divided.
pub const MOST_VALUES: usize = 1024;

/// How much of an object's YAML its lists may be. `kubectl apply` keeps a copy of the object in an annotation, and
/// annotations have 256 KiB together.
pub const MOST_BYTES: usize = 200 * 1024;

/// Returns about how many bytes of YAML a list is.
pub fn texts<T: AsRef<str>>(list: impl IntoIterator<Item = T>) -> usize {
    // Quotes, a comma and a space stand around each.
    list.into_iter().map(|text| text.as_ref().len() + 4).sum()
}
