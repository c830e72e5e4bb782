//! RSerPool for programs: ASAP (RFC 5352), its parameters (RFC 5354), pool elements and pool users.
