//! The kernel's structures and numbers, as `<linux/sctp.h>` lays them out.
//!
//! Every structure carries its C name and the offsets that the C compiler gives its fields; a wrong one
//! does not compile. The same tables ([`LAYOUTS`], [`NUMBERS`]) let the tests hold them against the
//! header of the machine they run on.

mod notification;
mod number;
mod option;

pub use notification::*;
pub use number::*;
pub use option::*;

/// One field of a kernel structure: its C name, offset and size in octets.
pub type Field = (&'static str, usize, usize);

/// The layout of one kernel structure.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The C type, as one writes it in C (`struct sctp_rtoinfo`).
    pub name: &'static str,
    /// Size in octets, trailing padding included.
    pub size: usize,
    /// The fields in order.
    pub fields: &'static [Field],
}

/// A structure that the kernel reads or fills in: plain integers and addresses, any bits are a value.
///
/// # Safety
/// The type is `repr(C)`, consists of integers and arrays of them alone (so that all-zero and whatever
/// the kernel writes are valid values), and owns nothing.
pub unsafe trait Plain: Copy {
    /// A value of all zero bits.
    fn zeroed() -> Self {
        // SAFETY: implementors are integers throughout, for which zero bits are a value.
        unsafe { std::mem::zeroed() }
    }
}

// SAFETY: an integer.
unsafe impl Plain for i32 {}
// SAFETY: an integer.
unsafe impl Plain for u32 {}

/// Declares kernel structures together with the layout that the C compiler gives them.
macro_rules! kernel_structs {
    ($(
        $(#[$doc:meta])*
        $name:ident = $c:literal, size $size:literal, repr($($repr:tt)*) {
            $( $offset:literal $field:ident : $type:ty = $cfield:literal ),* $(,)?
        }
    )*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy)]
            #[repr($($repr)*)]
            #[expect(missing_docs, reason = "the fields are named as in the kernel's header, less the prefix")]
            pub struct $name { $( pub $field: $type, )* }

            // SAFETY: repr(C) and made of integers and `sockaddr_storage`, as the declarations show.
            unsafe impl $crate::abi::Plain for $name {}

            const _: () = {
                assert!(size_of::<$name>() == $size, concat!("size of ", $c));
                $( assert!(std::mem::offset_of!($name, $field) == $offset, concat!("offset of ", $cfield)); )*
            };

            impl $name {
                /// The layout by its C names.
                pub const LAYOUT: $crate::abi::Layout = $crate::abi::Layout {
                    name: $c,
                    size: size_of::<$name>(),
                    fields: &[ $( ($cfield, std::mem::offset_of!($name, $field), size_of::<$type>()), )* ],
                };
            }
        )*
        /// The layouts of this file's structures.
        pub(super) const HERE: &[$crate::abi::Layout] = &[ $( $name::LAYOUT, )* ];
    };
}
use kernel_structs;

/// Every layout that this crate relies on, in groups.
pub const LAYOUTS: [&[Layout]; 2] = [option::HERE, notification::HERE];
