//! A plugin in Rust: one method, "rust_greeting.hello", that asks who is calling and greets their
//! organization in the words of its configuration.
//!
//!   [plugin.rust_greeting]
//!   file = /usr/lib/export-worker/plugins/rust_greeting.so
//!   word = Servus
//!
//! No panic crosses the border to the daemon: guard() turns it into EW_FAILED, which the daemon
//! counts as a fault of this request. With panic=abort it would end the daemon.
mod abi;
mod msgpack;

use abi::{Authorize, CreateArgs, Description, Host, Method, Note, Plugin, Principal, Request};
use abi::{Status, Text, Writer, FAILED, OK};
use std::ffi::c_void;
use std::mem::size_of;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};

const NAME: &str = "rust_greeting";
const VERSION: &str = "1.0.0";

// Read by the daemon from the file, before any of this code may run.
#[used]
#[link_section = ".note.export_worker"]
static NOTE: Note = Note::new(NAME, VERSION, 0);

struct Greeting {
    host: *const Host,
    authorize: &'static Authorize, // Valid as long as the host, which outlives this.
    word: String,
    greeted: AtomicU64,
}

fn guard(work: impl FnOnce() -> Status) -> Status {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(FAILED)
}

unsafe fn refuse(writer: *mut Writer, why: &str) -> Status {
    let set_error = (*writer).set_error;
    set_error(
        writer,
        abi::ERROR_INTERNAL,
        Text::new(why),
        abi::EXECUTED_NO,
        Text::new(""),
    );
    FAILED
}

// Called once per generation, on the loader thread. What goes wrong here, an operator reads.
unsafe extern "C" fn create(
    host: *const Host,
    args: *const CreateArgs,
    instance: *mut *mut c_void,
) -> Status {
    guard(|| {
        let args = &*args;
        let authorize = ((*host).get_extension)(host, Text::new("authorize/1")) as *const Authorize;
        if authorize.is_null() {
            return refuse(args.error, "expected a host with authorize/1");
        }
        let mut word = String::from("Hello");
        for index in 0..args.config_count as usize {
            let entry = &*args.config.add(index);
            match entry.key.get() {
                "word" => word = entry.value.get().to_owned(),
                key if key.starts_with("store.") => {} // Every plugin is told of the stores.
                key => {
                    let why = format!("unknown key '{key}'; [plugin.{NAME}] has file and word");
                    return refuse(args.error, &why);
                }
            }
        }
        let greeting = Greeting {
            host,
            authorize: &*authorize,
            word,
            greeted: AtomicU64::new(0),
        };
        *instance = Box::into_raw(Box::new(greeting)) as *mut c_void;
        OK
    })
}

unsafe extern "C" fn describe(_: *mut c_void, description: *mut Description) -> Status {
    let method = Method {
        struct_bytes: size_of::<Method>() as u32,
        idempotent: 1,
        name: Text::new("rust_greeting.hello"),
        summary: Text::new("Greets the caller's organization"),
    };
    ((*description).add_method)(description, &method)
}

// Called by several threads at once. Exactly one outcome: one msgpack object, or one set_error().
unsafe extern "C" fn handle(
    instance: *mut c_void,
    request: *const Request,
    writer: *mut Writer,
) -> Status {
    guard(|| {
        let greeting = &*(instance as *const Greeting);
        let mut caller = Principal {
            struct_bytes: size_of::<Principal>() as u32,
            reserved: 0,
            subject: Text::new(""),
            organization_id: Text::new(""),
        };
        let require = greeting.authorize.require;
        if require(
            greeting.host,
            request,
            Text::new("job:read"),
            writer,
            &mut caller,
        ) != OK
        {
            return OK; // The refusal has been written.
        }
        let mut out = Vec::new();
        msgpack::map(&mut out, 2);
        msgpack::text(&mut out, "greeting");
        msgpack::text(
            &mut out,
            &format!("{}, {}!", greeting.word, caller.organization_id.get()),
        );
        msgpack::text(&mut out, "greeted");
        msgpack::unsigned(
            &mut out,
            greeting.greeted.fetch_add(1, Ordering::Relaxed) + 1,
        );
        ((*writer).append)(writer, out.as_ptr() as *const c_void, out.len() as u64)
    })
}

unsafe extern "C" fn destroy(instance: *mut c_void) {
    guard(|| {
        drop(Box::from_raw(instance as *mut Greeting));
        OK
    });
}

static PLUGIN: Plugin = Plugin {
    struct_bytes: size_of::<Plugin>() as u32,
    abi_major: 1,
    abi_minor: 2,
    reserved: 0,
    name: Text::new(NAME),
    version: Text::new(VERSION),
    create,
    describe,
    self_test: None,
    handle,
    quiesce: None, // There are no threads or timers to stop.
    destroy,
};

#[no_mangle]
pub extern "C" fn export_worker_plugin_v1(_host_abi_minor: u32) -> *const Plugin {
    &PLUGIN
}
