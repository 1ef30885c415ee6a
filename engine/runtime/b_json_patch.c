/* json.patch: RFC 6902 over Rego values, with OPA's reading of it: the element of a set is its own path segment, a path may be an
 * array of segments. Values do not change: each operation copies what lies on its path. */
#include "b_common.h"

static const char NAME[] = "json.patch";

/* Says `before`, the value (text without quotes if `bare`), `between`, the other value; always 0. */
static rt_v say(const char *before, rt_v value, bool bare, const char *between, rt_v other) {
    rt_sb sb;
    rt_sb_init(&sb, 64);
    rt_sb_text(&sb, before);
    if (value && bare && rt_tag(value) == RT_STRING) rt_sb_value(&sb, value);
    else if (value) b_sb_term(&sb, value);
    rt_sb_text(&sb, between);
    if (other) b_sb_term(&sb, other);
    return rt_builtin_error_value(NAME, rt_sb_string(&sb));
}

static rt_v fail(const char *before, rt_v value, const char *between, rt_v other) {
    return say(before, value, false, between, other);
}

static rt_v not_composite(const char *before, rt_v key, const char *between, rt_v value) {
    static const char *const types[] = {"ast.Value", "ast.Null", "ast.Boolean", "ast.Number", "ast.String"};
    rt_sb sb;
    rt_sb_init(&sb, 64);
    rt_sb_text(&sb, before);
    if (key) b_sb_term(&sb, key);
    rt_sb_text(&sb, between);
    b_sb_term(&sb, value);
    rt_sb_text(&sb, " (type: ");
    rt_sb_text(&sb, types[value->tag <= RT_STRING ? value->tag : 0]);
    rt_sb_byte(&sb, ')');
    return rt_builtin_error_value(NAME, rt_sb_string(&sb));
}

static bool all_digits(const char *text, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (text[i] < '0' || text[i] > '9') return false;
    return true;
}

/* The place that a segment names in an array, `length` for "-"; false after an error. */
static bool place(uint32_t length, rt_v key, int64_t *out) {
    if (rt_tag(key) == RT_NUMBER) {
        if (rt_num_is_whole(key, out)) return true;
        (void)rt_builtin_error(NAME, "invalid number type for indexing");
        return false;
    }
    if (rt_tag(key) != RT_STRING) {
        (void)rt_builtin_error(NAME, "invalid type for indexing");
        return false;
    }
    const char *text = rt_str(key);
    size_t len = rt_str_len(key);
    if (len == 1 && text[0] == '-') {
        *out = (int64_t)length;
        return true;
    }
    if (len > 1 && text[0] == '+') { /* as Go reads numbers, with any zeros in front */
        for (text++, len--; len > 1 && text[0] == '0' && text[1] != '-'; len--) text++;
        if (text[0] == '-' || text[0] == '+') len = 0;
    } else if (len > 1 && text[0] == '0' && all_digits(text, len)) {
        (void)rt_builtin_error(NAME, "leading zeros are not allowed in JSON paths");
        return false;
    }
    rt_v number = len ? rt_num_from_text(text, len) : 0;
    if (number && rt_num_is_whole(number, out)) return true;
    (void)rt_builtin_error(NAME, "invalid string for indexing");
    return false;
}

/* The value below `key`; 0 after an error. */
static rt_v child(rt_v parent, rt_v key) {
    rt_v found = 0;
    int64_t at;
    switch (parent->tag) {
    case RT_OBJECT:
        found = rt_object_get(parent, key);
        return found ? found : fail("path ", key, " does not exist in object term ", parent);
    case RT_SET:
        found = rt_set_get(parent, key);
        return found ? found : say("path ", key, true, " does not exist in set term ", parent);
    case RT_ARRAY:
        if (!place(rt_array_len(parent), key, &at)) return 0;
        if (at >= 0 && at < (int64_t)rt_array_len(parent)) return rt_array_at(parent, (uint32_t)at);
        return fail("path ", rt_int(at), " does not exist in array term ", parent);
    default: return not_composite("expected composite type for path ", key, ", found value: ", parent);
    }
}

/* A copy of an array without `drop` items at `at`, and with `item` (0 = none) in their place. */
static rt_v spliced(rt_v array, uint32_t at, uint32_t drop, rt_v item) {
    uint32_t n = rt_array_len(array);
    rt_v copy = rt_array(b_cap((size_t)n + 1));
    for (uint32_t i = 0; i < at; i++) rt_array_push(copy, rt_array_at(array, i));
    if (item) rt_array_push(copy, item);
    for (uint32_t i = at + drop; i < n; i++) rt_array_push(copy, rt_array_at(array, i));
    return copy;
}

/* A copy of an object or set without a key. */
static rt_v without(rt_v table, rt_v key) {
    uint32_t n = rt_table_len(table);
    bool object = table->tag == RT_OBJECT;
    rt_v copy = object ? rt_object(b_cap(n)) : rt_set(b_cap(n));
    for (uint32_t i = 0; i < n; i++) {
        rt_v one = object ? rt_object_key(table, i) : rt_set_at(table, i);
        if (rt_equal(one, key)) continue;
        if (object)
            rt_object_put(copy, one, rt_object_value(table, i));
        else
            rt_set_put(copy, one);
    }
    return copy;
}

/* The parent with another child in the place of the one at `key`, which is there. */
static rt_v replaced(rt_v parent, rt_v key, rt_v value) {
    int64_t at;
    switch (parent->tag) {
    case RT_OBJECT: {
        rt_v copy = rt_table_copy(parent, 1);
        rt_object_put(copy, key, value);
        return copy;
    }
    case RT_SET: {
        rt_v copy = without(parent, key);
        rt_set_put(copy, value);
        return copy;
    }
    default:
        if (!place(rt_array_len(parent), key, &at)) return 0;
        return spliced(parent, (uint32_t)at, 1, value);
    }
}

static rt_v inserted(rt_v parent, rt_v key, rt_v value) {
    int64_t at;
    switch (parent->tag) {
    case RT_OBJECT: {
        rt_v copy = rt_table_copy(parent, 1);
        rt_object_put(copy, key, value);
        return copy;
    }
    case RT_SET: {
        if (!rt_equal(key, value)) return fail("set key ", key, " does not equal value to be inserted ", value);
        rt_v copy = rt_table_copy(parent, 1);
        rt_set_put(copy, value);
        return copy;
    }
    case RT_ARRAY:
        if (!place(rt_array_len(parent), key, &at)) return 0;
        if (at < 0 || at > (int64_t)rt_array_len(parent))
            return rt_builtin_error(NAME, "index for array insertion out of bounds");
        return spliced(parent, (uint32_t)at, 0, value);
    default: return not_composite("expected composite type, found value: ", 0, "", parent);
    }
}

static rt_v deleted(rt_v parent, rt_v key) {
    int64_t at;
    switch (parent->tag) {
    case RT_OBJECT:
    case RT_SET:
        if (!(parent->tag == RT_OBJECT ? rt_object_get(parent, key) : rt_set_get(parent, key)))
            return fail("cannot delete child key ", key, " that does not exist", 0);
        return without(parent, key);
    case RT_ARRAY:
        if (!place(rt_array_len(parent), key, &at)) return 0;
        if (at < 0 || at >= (int64_t)rt_array_len(parent))
            return rt_builtin_error(NAME, "index for array delete out of bounds");
        return spliced(parent, (uint32_t)at, 1, 0);
    default: return not_composite("expected composite type, found value: ", 0, "", parent);
    }
}

/* The document with the last segment of `path` inserted or (value 0) deleted; 0 after an error. */
static rt_v changed(rt_v document, rt_v path, rt_v value) {
    uint32_t len = rt_array_len(path);
    if (len > RT_VALUE_DEPTH_MAX) rt_abort(RT_ERR_DEPTH, "a path of json.patch is too long");
    rt_v *parents = rt_alloc_array(len, sizeof(rt_v));
    rt_v at = document;
    for (uint32_t i = 0; i + 1 < len; i++) {
        parents[i] = at;
        at = child(at, rt_array_at(path, i));
        if (!at) return 0;
    }
    rt_v last = rt_array_at(path, len - 1);
    rt_v result = value ? inserted(at, last, value) : deleted(at, last);
    for (uint32_t i = len - 1; result && i > 0; i--) result = replaced(parents[i - 1], rt_array_at(path, i - 1), result);
    return result;
}

/* The value at a path; 0 after an error. */
static rt_v rendered(rt_v document, rt_v path) {
    for (RT_EACH(i, n, path)) {
        if (!document) return rt_builtin_error(NAME, "nil value encountered where composite value was expected");
        document = child(document, rt_array_at(path, i));
        if (!document) return 0;
    }
    return document ? document : rt_builtin_error(NAME, "nil value encountered where composite value was expected");
}

/* A document on the way: `value` is 0 after its root was removed. */
typedef struct {
    rt_v value;
} state;

static bool insert(state *s, rt_v path, rt_v value) {
    if (rt_array_len(path) == 0) {
        s->value = value;
        return true;
    }
    if (!s->value) {
        (void)rt_builtin_error(NAME, "deleted node encountered during insert operation");
        return false;
    }
    return (s->value = changed(s->value, path, value)) != 0;
}

static bool erase(state *s, rt_v path) {
    if (!s->value) {
        (void)rt_builtin_error(NAME, "deleted node encountered during delete operation");
        return false;
    }
    if (rt_array_len(path) == 0) {
        s->value = 0;
        return true;
    }
    return (s->value = changed(s->value, path, 0)) != 0;
}

static rt_v attribute(rt_v operation, const char *name, const char *missing) {
    rt_v found = rt_object_get_c(operation, name);
    return found ? found : rt_builtin_error(NAME, missing);
}

static rt_v wanted_value(rt_v operation) { return attribute(operation, "value", "missing required attribute 'value'"); }

static rt_v source_path(rt_v operation) {
    rt_v from = attribute(operation, "from", "missing required attribute 'from'");
    return from ? b_path_segments(NAME, from) : 0;
}

static bool apply(state *s, rt_v operation) {
    if (rt_tag(operation) != RT_OBJECT) {
        (void)rt_builtin_error(NAME, "must be an array of JSON-Patch objects, but at least one element is not an object");
        return false;
    }
    rt_v written = attribute(operation, "path", "missing required attribute 'path'");
    rt_v op = written ? attribute(operation, "op", "missing required attribute 'op'") : 0;
    if (!op) return false;
    if (rt_tag(op) != RT_STRING) {
        rt_sb sb;
        rt_sb_init(&sb, 64);
        rt_sb_text(&sb, "attribute 'op' must be a string but found: ");
        rt_sb_text(&sb, rt_type_name(op));
        (void)rt_builtin_error_value(NAME, rt_sb_string(&sb));
        return false;
    }
    rt_v path = b_path_segments(NAME, written);
    if (!path) return false;
    rt_v value, from;
    if (rt_str_is(op, "add")) return (value = wanted_value(operation)) && insert(s, path, value);
    if (rt_str_is(op, "remove")) return erase(s, path);
    if (rt_str_is(op, "replace")) return erase(s, path) && (value = wanted_value(operation)) && insert(s, path, value);
    if (rt_str_is(op, "move"))
        return (from = source_path(operation)) && (value = rendered(s->value, from)) && erase(s, from) && insert(s, path, value);
    if (rt_str_is(op, "copy"))
        return (from = source_path(operation)) && (value = rendered(s->value, from)) && insert(s, path, value);
    if (rt_str_is(op, "test")) {
        rt_v found = rendered(s->value, path);
        if (!found || !(value = wanted_value(operation))) return false;
        if (rt_equal(found, value)) return true;
        (void)fail("value from EditTree != patch value.\n\nExpected: ", value, "\n\nFound: ", found);
        return false;
    }
    rt_sb sb;
    rt_sb_init(&sb, 64);
    rt_sb_text(&sb, "unrecognized op: '");
    rt_sb_value(&sb, op);
    rt_sb_byte(&sb, '\'');
    (void)rt_builtin_error_value(NAME, rt_sb_string(&sb));
    return false;
}

RT_EXPORT rt_v bi_json_patch(rt_v document, rt_v operations) {
    B_ARRAY(NAME, 2, operations);
    state s = {document};
    for (RT_EACH(i, n, operations)) {
        if (!apply(&s, rt_array_at(operations, i))) return 0;
    }
    return s.value;
}
