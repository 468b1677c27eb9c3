//! Items stored in the DHT (BEP 44).

use super::NodeId;
use crate::bencode::{Document, Encoder, Limits};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha1::{Digest, Sha1};

/// Longest value in bytes, bencoded (BEP 44).
pub const MAX_VALUE: usize = 1000;
/// Longest salt in bytes (BEP 44).
pub const MAX_SALT: usize = 64;

/// A value in the DHT, with what vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Named by the hash of its value, which is bencoded.
    Immutable(Vec<u8>),
    /// Named by a key, and signed with it.
    Mutable(Mutable),
}

/// A value that the holder of a key may replace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutable {
    /// The public key.
    pub key: [u8; 32],
    /// Tells apart the values of one key; often empty.
    pub salt: Vec<u8>,
    /// A higher number replaces a lower one.
    pub seq: i64,
    /// The signature.
    pub signature: [u8; 64],
    /// The value, bencoded.
    pub value: Vec<u8>,
}

/// Why an item is not to be stored or believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// Over [`MAX_VALUE`].
    #[error("message (v field) too big")]
    TooBig,
    /// Over [`MAX_SALT`].
    #[error("salt (salt field) too big")]
    SaltTooBig,
    /// The signature does not match.
    #[error("invalid signature")]
    Signature,
    /// The value is not one bencoded value.
    #[error("malformed value")]
    Malformed,
}

impl Item {
    /// The key that it is stored under.
    pub fn target(&self) -> NodeId {
        match self {
            Self::Immutable(value) => NodeId(Sha1::digest(value).into()),
            Self::Mutable(item) => target_of(&item.key, &item.salt),
        }
    }

    /// The value, bencoded.
    pub fn value(&self) -> &[u8] {
        match self {
            Self::Immutable(value) => value,
            Self::Mutable(item) => &item.value,
        }
    }

    /// Checks sizes, syntax and signature.
    pub fn check(&self) -> Result<(), ItemError> {
        if self.value().len() > MAX_VALUE {
            return Err(ItemError::TooBig);
        }
        Document::decode(self.value(), Limits::MESSAGE).map_err(|_| ItemError::Malformed)?;
        match self {
            Self::Immutable(_) => Ok(()),
            Self::Mutable(item) if item.salt.len() > MAX_SALT => Err(ItemError::SaltTooBig),
            Self::Mutable(item) => item.verify(),
        }
    }
}

impl Mutable {
    /// Signs a bencoded value with a private key.
    pub fn sign(secret: &[u8; 32], salt: &[u8], seq: i64, value: &[u8]) -> Self {
        let secret = SigningKey::from_bytes(secret);
        let signature = secret.sign(&signed_bytes(salt, seq, value)).to_bytes();
        let key = secret.verifying_key().to_bytes();
        Self { key, salt: salt.to_vec(), seq, signature, value: value.to_vec() }
    }

    fn verify(&self) -> Result<(), ItemError> {
        let key = VerifyingKey::from_bytes(&self.key).map_err(|_| ItemError::Signature)?;
        let signed = signed_bytes(&self.salt, self.seq, &self.value);
        key.verify_strict(&signed, &Signature::from_bytes(&self.signature)).map_err(|_| ItemError::Signature)
    }
}

/// The key under which the values of a public key and a salt are stored.
pub fn target_of(key: &[u8; 32], salt: &[u8]) -> NodeId {
    NodeId(Sha1::new().chain_update(key).chain_update(salt).finalize().into())
}

/// What is signed: part of a bencoded dictionary.
fn signed_bytes(salt: &[u8], seq: i64, value: &[u8]) -> Vec<u8> {
    let mut e = Encoder::new();
    if !salt.is_empty() {
        e.bytes(b"salt");
        e.bytes(salt);
    }
    e.bytes(b"seq");
    e.int(seq);
    e.bytes(b"v");
    e.raw(value);
    e.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::from_hex;

    const KEY: &str = "77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548";
    const VALUE: &[u8] = b"12:Hello World!";

    fn vector(salt: &[u8], signature: &str) -> Item {
        let (key, signature) = (from_hex(KEY).unwrap(), from_hex(signature).unwrap());
        Item::Mutable(Mutable { key, salt: salt.to_vec(), seq: 1, signature, value: VALUE.to_vec() })
    }

    #[test]
    fn the_test_vectors_of_bep_44() {
        let plain = vector(
            b"",
            "305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff\
             1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01",
        );
        let salted = vector(
            b"foobar",
            "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17d\
             df9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08",
        );
        let immutable = Item::Immutable(VALUE.to_vec());
        for (item, target) in [
            (plain, "4a533d47ec9c7d95b1ad75f576cffc641853b750"),
            (salted, "411eba73b6f087ca51a3795d9c8c938d365e32c1"),
            (immutable, "e5f96f6f38320f0f33959cb4d3d656452117aadb"),
        ] {
            assert_eq!(item.check(), Ok(()));
            assert_eq!(item.target().to_string(), target);
        }
    }

    #[test]
    fn what_is_signed_is_verified_and_nothing_else() {
        let item = Mutable::sign(&[7; 32], b"salt", 3, b"i5e");
        assert_eq!(Item::Mutable(item.clone()).check(), Ok(()));
        for changed in [
            Mutable { seq: 4, ..item.clone() },
            Mutable { value: b"i6e".to_vec(), ..item.clone() },
            Mutable { salt: Vec::new(), ..item.clone() },
            Mutable { key: [1; 32], ..item.clone() },
        ] {
            assert_eq!(Item::Mutable(changed).check(), Err(ItemError::Signature));
        }
        let long = Mutable { salt: vec![0; MAX_SALT + 1], ..item };
        assert_eq!(Item::Mutable(long).check(), Err(ItemError::SaltTooBig));
        assert_eq!(Item::Immutable(vec![b'1'; MAX_VALUE + 1]).check(), Err(ItemError::TooBig));
        assert_eq!(Item::Immutable(b"i5eX".to_vec()).check(), Err(ItemError::Malformed));
    }
}
