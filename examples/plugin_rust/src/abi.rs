//! The plugin ABI, version 1.2, in Rust: what this plugin uses of protocol/plugin_abi/*.h.
//!
//! Every pointer is borrowed for as long as the header says. `Text` is `ew_string`.
use std::ffi::c_void;

pub type Status = i32;
pub const OK: Status = 0;
pub const FAILED: Status = 1;

pub const ERROR_INTERNAL: u32 = 11;
pub const EXECUTED_NO: u32 = 0;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Text {
    data: *const u8,
    size: u64,
}

impl Text {
    pub const fn new(text: &str) -> Text {
        Text {
            data: text.as_ptr(),
            size: text.len() as u64,
        }
    }

    /// # Safety
    /// The text must be one that the host handed in, and `'a` must end before it does.
    pub unsafe fn get<'a>(self) -> &'a str {
        if self.size == 0 {
            return ""; // `data` may be null.
        }
        let bytes = std::slice::from_raw_parts(self.data, self.size as usize);
        std::str::from_utf8(bytes).unwrap_or("") // The host hands in UTF-8.
    }
}

#[repr(C)]
pub struct ConfigEntry {
    pub key: Text,
    pub value: Text,
}

#[repr(C)]
pub struct Request {
    pub struct_bytes: u32,
    pub reserved: u32,
    pub id: Text,
    pub method: Text,
    pub params: Text,
    pub trace: Text,
    pub deadline_steady_ns: i64,
    pub call: *mut c_void,
}

#[repr(C)]
pub struct Writer {
    pub struct_bytes: u32,
    pub reserved: u32,
    pub bytes_max: u64,
    pub append: unsafe extern "C" fn(*mut Writer, *const c_void, u64) -> Status,
    pub set_error: unsafe extern "C" fn(*mut Writer, u32, Text, u32, Text) -> Status,
}

#[repr(C)]
pub struct Method {
    pub struct_bytes: u32,
    pub idempotent: u32,
    pub name: Text,
    pub summary: Text,
}

#[repr(C)]
pub struct Description {
    pub struct_bytes: u32,
    pub reserved: u32,
    pub add_method: unsafe extern "C" fn(*mut Description, *const Method) -> Status,
}

#[repr(C)]
pub struct Host {
    pub struct_bytes: u32,
    pub abi_minor: u32,
    pub get_extension: unsafe extern "C" fn(*const Host, Text) -> *const c_void,
}

#[repr(C)]
pub struct Principal {
    pub struct_bytes: u32,
    pub reserved: u32,
    pub subject: Text,
    pub organization_id: Text,
}

/// The service "authorize/1".
#[repr(C)]
pub struct Authorize {
    pub struct_bytes: u32,
    pub reserved: u32,
    pub require: unsafe extern "C" fn(
        *const Host,
        *const Request,
        Text,
        *mut Writer,
        *mut Principal,
    ) -> Status,
}

#[repr(C)]
pub struct CreateArgs {
    pub struct_bytes: u32,
    pub reason: u32,
    pub config: *const ConfigEntry,
    pub config_count: u64,
    pub error: *mut Writer,
}

#[repr(C)]
pub struct Plugin {
    pub struct_bytes: u32,
    pub abi_major: u32,
    pub abi_minor: u32,
    pub reserved: u32,
    pub name: Text,
    pub version: Text,
    pub create: unsafe extern "C" fn(*const Host, *const CreateArgs, *mut *mut c_void) -> Status,
    pub describe: unsafe extern "C" fn(*mut c_void, *mut Description) -> Status,
    pub self_test: Option<unsafe extern "C" fn(*mut c_void, *mut Writer) -> Status>,
    pub handle: unsafe extern "C" fn(*mut c_void, *const Request, *mut Writer) -> Status,
    pub quiesce: Option<unsafe extern "C" fn(*mut c_void)>,
    pub destroy: unsafe extern "C" fn(*mut c_void),
}
// Constant: its pointers are to static texts and functions.
unsafe impl Sync for Plugin {}

#[repr(C)]
pub struct NoteDescriptor {
    pub struct_bytes: u32,
    pub abi_major: u32,
    pub abi_minor: u32,
    pub host_minor_min: u32,
    pub name: [u8; 64],
    pub version: [u8; 32],
}

#[repr(C)]
pub struct Note {
    owner_bytes: u32,
    descriptor_bytes: u32,
    kind: u32,
    owner: [u8; 16],
    descriptor: NoteDescriptor,
}

impl Note {
    pub const fn new(name: &str, version: &str, host_minor_min: u32) -> Note {
        Note {
            owner_bytes: 13,
            descriptor_bytes: std::mem::size_of::<NoteDescriptor>() as u32,
            kind: 1,
            owner: padded("ExportWorker"),
            descriptor: NoteDescriptor {
                struct_bytes: std::mem::size_of::<NoteDescriptor>() as u32,
                abi_major: 1,
                abi_minor: 2,
                host_minor_min,
                name: padded(name),
                version: padded(version),
            },
        }
    }
}

const fn padded<const N: usize>(text: &str) -> [u8; N] {
    let bytes = text.as_bytes();
    assert!(bytes.len() < N); // At least one NUL ends it.
    let mut out = [0; N];
    let mut index = 0;
    while index < bytes.len() {
        out[index] = bytes[index];
        index += 1;
    }
    out
}

// What the C compiler makes of the headers.
const _: () = {
    use std::mem::size_of;
    assert!(size_of::<Request>() == 88 && size_of::<Writer>() == 32 && size_of::<Host>() == 16);
    assert!(size_of::<Method>() == 40 && size_of::<Description>() == 16);
    assert!(size_of::<Principal>() == 40 && size_of::<Authorize>() == 16);
    assert!(size_of::<CreateArgs>() == 32 && size_of::<Plugin>() == 96);
    assert!(size_of::<NoteDescriptor>() == 112 && size_of::<Note>() == 140);
};
