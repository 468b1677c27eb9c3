//! From values to bytes.

/// Writes one bencoded value.
///
/// Dictionaries and lists are closures, so nothing is left open:
/// ```
/// use proto::bencode::Encoder;
/// let mut e = Encoder::new();
/// e.dict(|d| {
///     d.int(b"length", 3);
///     d.list(b"path", |l| l.bytes(b"a"));
/// });
/// assert_eq!(e.finish(), b"d6:lengthi3e4:pathl1:aee");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    out: Vec<u8>,
}

impl Encoder {
    /// Nothing written yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends to what a buffer already holds.
    pub fn append_to(out: Vec<u8>) -> Self {
        Self { out }
    }

    /// The bytes.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// How many bytes are written so far.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing is written yet.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// An integer.
    pub fn int(&mut self, value: i64) {
        self.out.push(b'i');
        self.decimal(value);
        self.out.push(b'e');
    }

    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) {
        self.decimal(i64::try_from(value.len()).unwrap_or(i64::MAX));
        self.out.push(b':');
        self.out.extend_from_slice(value);
    }

    /// Bytes that are a bencoded value already.
    pub fn raw(&mut self, value: &[u8]) {
        self.out.extend_from_slice(value);
    }

    /// A list.
    pub fn list(&mut self, fill: impl FnOnce(&mut List<'_>)) {
        self.out.push(b'l');
        fill(&mut List { encoder: self });
        self.out.push(b'e');
    }

    /// A dictionary. Its keys are to be given in ascending order; a debug build checks that.
    pub fn dict(&mut self, fill: impl FnOnce(&mut Dict<'_>)) {
        self.out.push(b'd');
        fill(&mut Dict { encoder: self, last: None });
        self.out.push(b'e');
    }

    fn decimal(&mut self, value: i64) {
        // Nineteen digits and a sign.
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        let mut rest = value.unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            self.out.push(b'-');
        }
        self.out.extend_from_slice(&digits[at..]);
    }
}

/// A list being written.
#[derive(Debug)]
pub struct List<'e> {
    encoder: &'e mut Encoder,
}

impl List<'_> {
    /// Adds an integer.
    pub fn int(&mut self, value: i64) {
        self.encoder.int(value);
    }

    /// Adds a byte string.
    pub fn bytes(&mut self, value: &[u8]) {
        self.encoder.bytes(value);
    }

    /// Adds bytes that are a bencoded value already.
    pub fn raw(&mut self, value: &[u8]) {
        self.encoder.raw(value);
    }

    /// Adds a list.
    pub fn list(&mut self, fill: impl FnOnce(&mut List<'_>)) {
        self.encoder.list(fill);
    }

    /// Adds a dictionary.
    pub fn dict(&mut self, fill: impl FnOnce(&mut Dict<'_>)) {
        self.encoder.dict(fill);
    }
}

/// A dictionary being written.
#[derive(Debug)]
pub struct Dict<'e> {
    encoder: &'e mut Encoder,
    /// Where the last key's content is in the output.
    last: Option<std::ops::Range<usize>>,
}

impl Dict<'_> {
    /// Adds an integer.
    pub fn int(&mut self, key: &[u8], value: i64) {
        self.key(key).int(value);
    }

    /// Adds a byte string.
    pub fn bytes(&mut self, key: &[u8], value: &[u8]) {
        self.key(key).bytes(value);
    }

    /// Adds bytes that are a bencoded value already.
    pub fn raw(&mut self, key: &[u8], value: &[u8]) {
        self.key(key).raw(value);
    }

    /// Adds a list.
    pub fn list(&mut self, key: &[u8], fill: impl FnOnce(&mut List<'_>)) {
        self.key(key).list(fill);
    }

    /// Adds a dictionary.
    pub fn dict(&mut self, key: &[u8], fill: impl FnOnce(&mut Dict<'_>)) {
        self.key(key).dict(fill);
    }

    fn key(&mut self, key: &[u8]) -> &mut Encoder {
        debug_assert!(
            self.last.take().is_none_or(|last| self.encoder.out[last] < *key),
            "keys out of order at {}",
            key.escape_ascii()
        );
        self.encoder.bytes(key);
        let end = self.encoder.out.len();
        self.last = Some(end - key.len()..end);
        self.encoder
    }
}
