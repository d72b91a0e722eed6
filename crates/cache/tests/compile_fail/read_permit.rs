use narthex_policy::{Decision, Permit};

fn is_deserialized<T: serde::de::DeserializeOwned>() {}

fn main() {
    is_deserialized::<Permit>();
    is_deserialized::<Decision>();
}
