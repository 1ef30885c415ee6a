/* Errors: one way out of an evaluation, and the message forms of builtins.
 *
 * It must not allocate for rt_abort, which is what runs when memory is gone.
 */
#include "rt.h"

static const char *code_text(int32_t code) {
    switch (code) {
    case RT_ERR_CONFLICT: return "eval_conflict_error: ";
    case RT_ERR_TYPE: return "eval_type_error: ";
    case RT_ERR_BUILTIN: return "eval_builtin_error: ";
    case RT_ERR_MEMORY: return "eval_limit_memory: ";
    case RT_ERR_DEPTH: return "eval_limit_depth: ";
    case RT_ERR_INPUT: return "eval_input_error: ";
    default: return "eval_internal_error: ";
    }
}

RT_COLD static _Noreturn void abort_with(int32_t code, const char *message, size_t len) {
    char text[4096];
    const char *head = code_text(code);
    size_t n = strlen(head);
    memcpy(text, head, n);
    /* The host reads UTF-8: whole letters, and U+FFFD for what is none. */
    for (const char *at = message, *end = message + len; at < end && n + 5 <= sizeof text;)
        n += rt_utf8_put(text + n, rt_utf8_next(&at, end));
    text[n] = 0;
    opa_abort(text);
    __builtin_trap(); /* a host whose opa_abort returns must not get an answer */
}

_Noreturn void rt_abort(int32_t code, const char *message) { abort_with(code, message, strlen(message)); }

_Noreturn void rt_fail(int32_t code, rt_v message) {
    if (rt_tag(message) != RT_STRING) rt_abort(code, "no message");
    abort_with(code, rt_str(message), rt_str_len(message));
}

const char *rt_type_name(const rt_value *v) {
    switch (rt_tag(v)) {
    case RT_NULL: return "null";
    case RT_BOOLEAN: return "boolean";
    case RT_NUMBER: return "number";
    case RT_STRING: return "string";
    case RT_ARRAY: return "array";
    case RT_OBJECT: return "object";
    case RT_SET: return "set";
    default: return "undefined";
    }
}

/* Whether anybody wants to know: the evaluation ends with it, or the host collects errors. */
static bool is_reported(void) { return rt_strict || rt_error_id >= 0; }

static rt_v report(int32_t code, rt_sb *sb) {
    rt_v message = rt_sb_string(sb);
    if (rt_strict) rt_fail(code, message);
    (void)opa_builtin2(rt_error_id, 0, rt_string_c(code == RT_ERR_TYPE ? "eval_type_error" : "eval_builtin_error"), message);
    return 0;
}

rt_v rt_type_error(const char *name, int operand, const char *expected, const rt_value *got) {
    if (!is_reported()) return 0;
    rt_sb sb;
    rt_sb_init(&sb, 96);
    rt_sb_text(&sb, name);
    rt_sb_text(&sb, ": operand ");
    rt_sb_int(&sb, operand);
    rt_sb_text(&sb, " must be ");
    rt_sb_text(&sb, expected);
    rt_sb_text(&sb, " but got ");
    rt_sb_text(&sb, rt_type_name(got));
    return report(RT_ERR_TYPE, &sb);
}

rt_v rt_type_error_text(const char *message) {
    if (!is_reported()) return 0;
    rt_sb sb;
    rt_sb_init(&sb, 96);
    rt_sb_text(&sb, message);
    return report(RT_ERR_TYPE, &sb);
}

rt_v rt_operand_error(const char *name, int operand, const char *message) {
    if (!is_reported()) return 0;
    rt_sb sb;
    rt_sb_init(&sb, 96);
    rt_sb_text(&sb, name);
    rt_sb_text(&sb, ": operand ");
    rt_sb_int(&sb, operand);
    rt_sb_byte(&sb, ' ');
    rt_sb_text(&sb, message);
    return report(RT_ERR_TYPE, &sb);
}

rt_v rt_builtin_error(const char *name, const char *message) {
    if (!is_reported()) return 0;
    rt_sb sb;
    rt_sb_init(&sb, 96);
    rt_sb_text(&sb, name);
    rt_sb_text(&sb, ": ");
    rt_sb_text(&sb, message);
    return report(RT_ERR_BUILTIN, &sb);
}

rt_v rt_builtin_error_value(const char *name, const rt_value *message) {
    return rt_builtin_error(name, rt_tag(message) == RT_STRING ? rt_str(message) : "no message");
}
