#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    selvedge_fuzz_targets::overlay::announcement::run(input);
});
