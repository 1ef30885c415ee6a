/* The regex.* and glob.* builtins on top of the matcher. */
#include "b_regex.h"

static rt_v match(const char *name, rt_v pattern, rt_v s) {
    B_STRING(name, 1, pattern);
    B_STRING(name, 2, s);
    rt_v error = 0;
    const uint8_t *program = b_regex_program(name, pattern, &error);
    return program ? rt_bool(b_regex_test(program, rt_str(s), rt_str_len(s))) : error;
}

RT_EXPORT rt_v bi_regex_match(rt_v pattern, rt_v s) { return match("regex.match", pattern, s); }
RT_EXPORT rt_v bi_re_match(rt_v pattern, rt_v s) { return match("re_match", pattern, s); }

RT_EXPORT rt_v bi_regex_is_valid(rt_v pattern) {
    if (rt_tag(pattern) != RT_STRING) return rt_bool(0);
    return rt_bool(b_regex_compiles(pattern));
}

static size_t rune_width(const char *text, size_t at, size_t len) {
    if (at >= len) return 1;
    const char *cursor = text + at;
    (void)rt_utf8_next(&cursor, text + len);
    return (size_t)(cursor - text) - at;
}

/* All matches one after the other; an empty one right behind another match does not count. */
typedef struct {
    const uint8_t *program;
    const char *text;
    size_t len, at;
    uint32_t previous; /* end of the last match */
    uint32_t count;
    uint32_t *slots;
} search;

static search begin(const uint8_t *program, rt_v s, uint32_t count) {
    return (search){.program = program,
                    .text = rt_str(s),
                    .len = rt_str_len(s),
                    .at = 0,
                    .previous = B_REGEX_NONE,
                    .count = count,
                    .slots = rt_alloc_array(count, sizeof(uint32_t))};
}

static bool advance(search *s) {
    while (s->at <= s->len && b_regex_find(s->program, s->text, s->len, s->at, s->slots, s->count)) {
        bool wanted = true;
        if (s->slots[1] == s->at) { /* empty and here */
            wanted = s->slots[0] != s->previous;
            s->at += rune_width(s->text, s->at, s->len);
        } else {
            s->at = s->slots[1];
        }
        s->previous = s->slots[1];
        if (wanted) return true;
    }
    return false;
}

static rt_v piece(const search *s, uint32_t group) {
    uint32_t start = s->slots[2 * group], end = s->slots[2 * group + 1];
    if (start == B_REGEX_NONE || end == B_REGEX_NONE) return rt_string("", 0);
    return rt_string(s->text + start, end - start);
}

static rt_v find(const char *name, rt_v pattern, rt_v s, rt_v limit, bool groups) {
    int64_t most;
    B_STRING(name, 1, pattern);
    B_STRING(name, 2, s);
    B_INTEGER(name, 3, limit, &most);
    rt_v error = 0;
    const uint8_t *program = b_regex_program(name, pattern, &error);
    if (!program) return error;
    rt_v result = rt_array(4);
    uint32_t count = groups ? b_regex_groups(program) : 1;
    search at = begin(program, s, 2 * count);
    for (int64_t i = 0; (most < 0 || i < most) && advance(&at); i++) {
        if (!groups) {
            rt_array_push(result, piece(&at, 0));
            continue;
        }
        rt_v row = rt_array((int32_t)count);
        for (uint32_t g = 0; g < count; g++) rt_array_push(row, piece(&at, g));
        rt_array_push(result, row);
    }
    return result;
}

RT_EXPORT rt_v bi_regex_find_n(rt_v pattern, rt_v s, rt_v limit) { return find("regex.find_n", pattern, s, limit, false); }

RT_EXPORT rt_v bi_regex_find_all_string_submatch_n(rt_v pattern, rt_v s, rt_v limit) {
    return find("regex.find_all_string_submatch_n", pattern, s, limit, true);
}

RT_EXPORT rt_v bi_regex_split(rt_v pattern, rt_v s) {
    B_STRING("regex.split", 1, pattern);
    B_STRING("regex.split", 2, s);
    rt_v error = 0;
    const uint8_t *program = b_regex_program("regex.split", pattern, &error);
    if (!program) return error;
    rt_v result = rt_array(4);
    if (rt_str_len(pattern) > 0 && rt_str_len(s) == 0) {
        rt_array_push(result, s);
        return result;
    }
    search at = begin(program, s, 2);
    size_t from = 0, end = 0;
    while (advance(&at)) {
        end = at.slots[0];
        if (at.slots[1] != 0) rt_array_push(result, rt_string(at.text + from, end - from));
        from = at.slots[1];
    }
    if (end != at.len) rt_array_push(result, rt_string(at.text + from, at.len - from));
    return result;
}

static bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* `$1`, `${name}`, `$$` in a replacement; what is not one of them stays as it is. */
static void expand(rt_sb *sb, const search *s, const uint8_t *program, rt_v template) {
    const char *at = rt_str(template);
    const char *end = at + rt_str_len(template);
    while (at < end) {
        if (*at != '$' || at + 1 == end) {
            rt_sb_byte(sb, *at++);
            continue;
        }
        if (at[1] == '$') {
            rt_sb_byte(sb, '$');
            at += 2;
            continue;
        }
        bool brace = at[1] == '{';
        const char *name = at + (brace ? 2 : 1);
        const char *stop = name;
        while (stop < end && is_name(*stop)) stop++;
        if (stop == name || (brace && (stop == end || *stop != '}'))) {
            rt_sb_byte(sb, *at++);
            continue;
        }
        size_t len = (size_t)(stop - name);
        uint32_t number = 0;
        bool numeric = true;
        for (size_t i = 0; i < len; i++) {
            if (name[i] < '0' || name[i] > '9' || number >= 100000000) {
                numeric = false;
                break;
            }
            number = number * 10 + (uint32_t)(name[i] - '0');
        }
        if (numeric && name[0] == '0' && len > 1) numeric = false;
        if (!numeric) number = b_regex_group(program, name, len, s->slots);
        if (number < s->count / 2) rt_sb_value(sb, piece(s, number));
        at = stop + (brace ? 1 : 0);
    }
}

RT_EXPORT rt_v bi_regex_replace(rt_v s, rt_v pattern, rt_v value) {
    B_STRING("regex.replace", 1, s);
    B_STRING("regex.replace", 2, pattern);
    B_STRING("regex.replace", 3, value);
    rt_v error = 0;
    const uint8_t *program = b_regex_program("regex.replace", pattern, &error);
    if (!program) return error;
    search at = begin(program, s, 2 * b_regex_groups(program));
    rt_sb sb;
    rt_sb_init(&sb, at.len + 16);
    size_t done = 0;
    while (at.at <= at.len && b_regex_find(program, at.text, at.len, at.at, at.slots, at.count)) {
        uint32_t start = at.slots[0], end = at.slots[1];
        rt_sb_bytes(&sb, at.text + done, start - done);
        if (end > done || start == 0) expand(&sb, &at, program, value);
        done = end;
        size_t width = rune_width(at.text, at.at, at.len);
        at.at = at.at + width > end ? at.at + width : end;
    }
    rt_sb_bytes(&sb, at.text + done, at.len - done);
    return rt_sb_string(&sb);
}

static void quote_into(rt_sb *sb, const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        for (const char *c = "\\.+*?()|[]{}^$"; *c; c++) {
            if (*c == text[i]) rt_sb_byte(sb, '\\');
        }
        rt_sb_byte(sb, text[i]);
    }
}

/* Text between the delimiters is a pattern, all else stands for itself. */
RT_EXPORT rt_v bi_regex_template_match(rt_v template, rt_v s, rt_v open, rt_v close) {
    const char *name = "regex.template_match";
    B_STRING(name, 1, template);
    B_STRING(name, 2, s);
    B_STRING(name, 3, open);
    B_STRING(name, 4, close);
    rt_v delimiters[2] = {open, close};
    for (int i = 0; i < 2; i++) {
        if (rt_str_len(delimiters[i]) == 1) continue;
        rt_sb message;
        rt_sb_init(&message, 80);
        rt_sb_text(&message, i ? "end" : "start");
        rt_sb_text(&message, " delimiter has to be exactly one character long but is ");
        rt_sb_int(&message, (int64_t)rt_str_len(open));
        rt_sb_text(&message, " long");
        return rt_builtin_error_value(name, rt_sb_string(&message));
    }
    const char *text = rt_str(template);
    size_t len = rt_str_len(template), from = 0, start = 0;
    int64_t level = 0;
    rt_sb sb;
    rt_sb_init(&sb, 2 * len + 8);
    rt_sb_byte(&sb, '^');
    for (size_t i = 0; i < len && level >= 0; i++) {
        if (text[i] == rt_str(open)[0]) {
            if (++level == 1) start = i;
        } else if (text[i] == rt_str(close)[0] && --level == 0) {
            quote_into(&sb, text + from, start - from);
            rt_sb_byte(&sb, '(');
            rt_sb_bytes(&sb, text + start + 1, i - start - 1);
            rt_sb_byte(&sb, ')');
            from = i + 1;
        }
    }
    if (level != 0) {
        rt_sb message;
        rt_sb_init(&message, len + 32);
        rt_sb_text(&message, "unbalanced braces in ");
        b_sb_quoted(&message, text, len);
        return rt_builtin_error_value(name, rt_sb_string(&message));
    }
    quote_into(&sb, text + from, len - from);
    rt_sb_byte(&sb, '$');
    rt_v error = 0;
    const uint8_t *program = b_regex_program(name, rt_sb_string(&sb), &error);
    return program ? rt_bool(b_regex_test(program, rt_str(s), rt_str_len(s))) : error;
}

RT_EXPORT rt_v bi_glob_match(rt_v pattern, rt_v delimiters, rt_v s) {
    B_STRING("glob.match", 1, pattern);
    if (rt_tag(delimiters) == RT_ARRAY) {
        for (RT_EACH(i, n, delimiters)) {
            rt_v one = rt_array_at(delimiters, i);
            if (rt_tag(one) != RT_STRING) return b_element_error("glob.match", 2, delimiters, one, "string");
            if (rt_str_runes(one) != 1) return b_element_error("glob.match", 2, delimiters, one, "rune");
        }
    } else if (rt_tag(delimiters) != RT_NULL) {
        return rt_type_error("glob.match", 2, "one of {array, null}", delimiters);
    }
    B_STRING("glob.match", 3, s);
    rt_v key = rt_array(2);
    rt_array_push(key, pattern);
    rt_array_push(key, delimiters);
    rt_v error = 0;
    const uint8_t *program = b_glob_program("glob.match", key, &error);
    return program ? rt_bool(b_regex_test(program, rt_str(s), rt_str_len(s))) : error;
}

RT_EXPORT rt_v bi_glob_quote_meta(rt_v pattern) {
    B_STRING("glob.quote_meta", 1, pattern);
    rt_sb sb;
    rt_sb_init(&sb, rt_str_len(pattern) + 8);
    for (size_t i = 0; i < rt_str_len(pattern); i++) {
        for (const char *c = "*?\\[]{}"; *c; c++) {
            if (*c == rt_str(pattern)[i]) rt_sb_byte(&sb, '\\');
        }
        rt_sb_byte(&sb, rt_str(pattern)[i]);
    }
    return rt_sb_string(&sb);
}
