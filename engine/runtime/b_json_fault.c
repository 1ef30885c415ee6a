/* What is wrong with a text that is no JSON, in the words of Go's decoder. Only called for texts that rt_json_read refuses. */
#include "b_common.h"

typedef struct {
    const char *at, *end;
    rt_v fault; /* set once a function has returned false */
    int depth;
} scanner;

static bool read_value(scanner *s);

static bool ends(scanner *s) {
    s->fault = rt_string_c("unexpected EOF");
    return false;
}

/* The character at s->at stands where it may not. */
static bool bad(scanner *s, const char *where) {
    rt_sb character, sb;
    rt_sb_init(&character, 8);
    rt_sb_rune(&character, (unsigned char)*s->at); /* a byte, also of a longer character */
    rt_v text = rt_sb_string(&character);
    rt_sb_init(&sb, 64);
    rt_sb_text(&sb, "invalid character '");
    if (*s->at == '\'') {
        rt_sb_text(&sb, "\\'");
    } else if (*s->at == '"') {
        rt_sb_byte(&sb, '"');
    } else {
        rt_sb quoted;
        rt_sb_init(&quoted, 16);
        b_sb_quoted(&quoted, rt_str(text), rt_str_len(text));
        rt_v whole = rt_sb_string(&quoted);
        rt_sb_bytes(&sb, rt_str(whole) + 1, rt_str_len(whole) - 2);
    }
    rt_sb_text(&sb, "' ");
    rt_sb_text(&sb, where);
    s->fault = rt_sb_string(&sb);
    return false;
}

static void skip_space(scanner *s) {
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r')) s->at++;
}

static bool is_digit(const scanner *s) { return s->at < s->end && *s->at >= '0' && *s->at <= '9'; }

static bool read_digits(scanner *s, const char *where) {
    if (s->at == s->end) return ends(s);
    if (!is_digit(s)) return bad(s, where);
    while (is_digit(s)) s->at++;
    return true;
}

static bool read_number(scanner *s) {
    if (*s->at == '-') s->at++;
    if (s->at < s->end && *s->at == '0') s->at++;
    else if (!read_digits(s, "in numeric literal")) return false;
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        if (!read_digits(s, "after decimal point in numeric literal")) return false;
    }
    if (s->at < s->end && (*s->at | 0x20) == 'e') {
        s->at++;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-')) s->at++;
        return read_digits(s, "in exponent of numeric literal");
    }
    return true;
}

static bool read_word(scanner *s, const char *word, const char *where) {
    for (const char *c = word; *c; c++, s->at++) {
        if (s->at == s->end) return ends(s);
        if (*s->at == *c) continue;
        rt_sb sb;
        rt_sb_init(&sb, 48);
        rt_sb_text(&sb, where);
        rt_sb_text(&sb, " (expecting '");
        rt_sb_byte(&sb, *c);
        rt_sb_text(&sb, "')");
        rt_sb_byte(&sb, 0);
        return bad(s, rt_str(rt_sb_string(&sb)));
    }
    return true;
}

static bool read_escape(scanner *s) {
    if (s->at == s->end) return ends(s);
    char c = *s->at;
    if (c != 'u') {
        for (const char *known = "bfnrt\\/\""; *known; known++)
            if (c == *known) {
                s->at++;
                return true;
            }
        return bad(s, "in string escape code");
    }
    s->at++;
    for (int i = 0; i < 4; i++, s->at++) {
        if (s->at == s->end) return ends(s);
        char lower = (char)(*s->at | 0x20);
        if (!is_digit(s) && !(lower >= 'a' && lower <= 'f')) return bad(s, "in \\u hexadecimal character escape");
    }
    return true;
}

static bool read_string(scanner *s) {
    s->at++;
    for (;;) {
        if (s->at == s->end) return ends(s);
        unsigned char c = (unsigned char)*s->at;
        if (c < 0x20) return bad(s, "in string literal");
        s->at++;
        if (c == '"') return true;
        if (c == '\\' && !read_escape(s)) return false;
    }
}

static bool read_key(scanner *s) {
    skip_space(s);
    if (s->at == s->end) return ends(s);
    if (*s->at != '"') return bad(s, "looking for beginning of object key string");
    if (!read_string(s)) return false;
    skip_space(s);
    if (s->at == s->end) return ends(s);
    if (*s->at != ':') return bad(s, "after object key");
    s->at++;
    return true;
}

/* An array or object, s->at at its bracket. */
static bool read_collection(scanner *s) {
    bool object = *s->at == '{';
    char close = object ? '}' : ']';
    s->at++;
    skip_space(s);
    if (s->at < s->end && *s->at == close) {
        s->at++;
        return true;
    }
    for (;;) {
        if (object && !read_key(s)) return false;
        if (!read_value(s)) return false;
        skip_space(s);
        if (s->at == s->end) return ends(s);
        if (*s->at == close) {
            s->at++;
            return true;
        }
        if (*s->at != ',') return bad(s, object ? "after object key:value pair" : "after array element");
        s->at++;
    }
}

static bool read_value(scanner *s) {
    skip_space(s);
    if (s->at == s->end) return ends(s);
    switch (*s->at) {
    case '{':
    case '[':
        if (++s->depth > RT_JSON_DEPTH_MAX) {
            s->fault = rt_string_c("exceeded max depth");
            return false;
        }
        if (!read_collection(s)) return false;
        s->depth--;
        return true;
    case '"': return read_string(s);
    case 't': return read_word(s, "true", "in literal true");
    case 'f': return read_word(s, "false", "in literal false");
    case 'n': return read_word(s, "null", "in literal null");
    default:
        if (*s->at == '-' || is_digit(s)) return read_number(s);
        return bad(s, "looking for beginning of value");
    }
}

/* The value that follows the first one, as Go prints it. */
static rt_v extra_value(scanner *s) {
    rt_sb sb;
    rt_sb_init(&sb, 64);
    rt_sb_text(&sb, "error: invalid character '");
    const char *from = s->at;
    if (*from == '{' || *from == '[') {
        rt_sb_byte(&sb, *from);
    } else {
        if (!read_value(s)) return s->fault;
        size_t len = (size_t)(s->at - from);
        if (*from == '"') {
            rt_sb_value(&sb, rt_json_read(from, len, RT_JSON_PLAIN));
        } else if (*from == 'n') {
            rt_sb_text(&sb, "%!s(<nil>)");
        } else if (*from == 't' || *from == 'f') {
            rt_sb_text(&sb, *from == 't' ? "%!s(bool=true)" : "%!s(bool=false)");
        } else {
            rt_sb_bytes(&sb, from, len);
        }
    }
    rt_sb_text(&sb, "' after top-level value");
    return rt_sb_string(&sb);
}

rt_v b_json_fault(rt_v text) {
    scanner s = {.at = rt_str(text), .end = rt_str(text) + rt_str_len(text), .fault = 0, .depth = 0};
    skip_space(&s);
    if (s.at == s.end) return rt_string_c("EOF");
    if (!read_value(&s)) return s.fault;
    skip_space(&s);
    return s.at < s.end ? extra_value(&s) : rt_string_c("invalid JSON text");
}
