/* JSON, base64 and hex texts. */
#include "b_common.h"

RT_EXPORT rt_v bi_json_marshal(rt_v v) {
    rt_sb sb;
    rt_sb_init(&sb, 64);
    rt_sb_json(&sb, v, RT_JSON_HTML);
    return rt_sb_string(&sb);
}

static rt_v option_error(const char *before, const char *key, const char *after, const rt_value *got) {
    rt_sb sb;
    rt_sb_init(&sb, 96);
    rt_sb_text(&sb, before);
    rt_sb_text(&sb, key);
    rt_sb_text(&sb, after);
    if (got) rt_sb_text(&sb, rt_type_name(got));
    return rt_operand_error("json.marshal_with_options", 2, rt_str(rt_sb_string(&sb)));
}

static void new_line(rt_sb *out, rt_v prefix, rt_v indent, uint32_t depth) {
    rt_sb_byte(out, '\n');
    if (prefix) rt_sb_value(out, prefix);
    for (uint32_t i = 0; i < depth; i++) {
        if (indent)
            rt_sb_value(out, indent);
        else
            rt_sb_byte(out, '\t');
    }
}

/* Lays JSON text without blanks out in lines, as Go's json.Indent. */
static void lay_out(rt_sb *out, const char *text, size_t len, rt_v prefix, rt_v indent) {
    uint32_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (quoted) {
            if (c == '\\') rt_sb_byte(out, text[i++]);
            rt_sb_byte(out, text[i]);
            if (c == '"') quoted = false;
            continue;
        }
        bool closes = c == '}' || c == ']';
        if (closes) new_line(out, prefix, indent, --depth);
        rt_sb_byte(out, c);
        if (c == '"') quoted = true;
        if (c == ':') rt_sb_byte(out, ' ');
        if (c == ',') new_line(out, prefix, indent, depth);
        if (c != '{' && c != '[') continue;
        if (text[i + 1] == '}' || text[i + 1] == ']')
            rt_sb_byte(out, text[++i]);
        else
            new_line(out, prefix, indent, ++depth);
    }
}

RT_EXPORT rt_v bi_json_marshal_with_options(rt_v v, rt_v options) {
    B_OBJECT("json.marshal_with_options", 2, options);
    rt_v prefix = 0, indent = 0, pretty = 0;
    rt_sorted(options);
    for (RT_EACH(i, n, options)) {
        rt_v key = rt_object_key(options, i), value = rt_object_value(options, i);
        bool named = rt_tag(key) == RT_STRING;
        if (named && (rt_str_is(key, "prefix") || rt_str_is(key, "indent"))) {
            if (rt_tag(value) != RT_STRING)
                return option_error("key \"", rt_str(key), "\" failed cast to string: operand 0 must be string but got ", value);
            if (rt_str_is(key, "prefix"))
                prefix = value;
            else
                indent = value;
        } else if (named && rt_str_is(key, "pretty")) {
            if (rt_tag(value) != RT_BOOLEAN) return option_error("key \"pretty\" failed cast to bool", "", "", 0);
            pretty = value;
        } else {
            rt_sb sb;
            rt_sb_init(&sb, 32);
            b_sb_term(&sb, key);
            return option_error("object contained unknown key ", rt_str(rt_sb_string(&sb)), "", 0);
        }
    }
    rt_v compact = bi_json_marshal(v);
    if (pretty ? !rt_bool_value(pretty) : !prefix && !indent) return compact;
    rt_sb sb;
    rt_sb_init(&sb, 2 * rt_str_len(compact) + 16);
    if (prefix) rt_sb_value(&sb, prefix);
    lay_out(&sb, rt_str(compact), rt_str_len(compact), prefix, indent);
    return rt_sb_string(&sb);
}

RT_EXPORT rt_v bi_json_unmarshal(rt_v s) {
    B_STRING("json.unmarshal", 1, s);
    rt_v result = rt_json_read(rt_str(s), rt_str_len(s), RT_JSON_PLAIN);
    return result ? result : rt_builtin_error_value("json.unmarshal", b_json_fault(s));
}

RT_EXPORT rt_v bi_json_is_valid(rt_v s) {
    if (rt_tag(s) != RT_STRING) return rt_bool(0);
    return rt_bool(rt_json_read(rt_str(s), rt_str_len(s), RT_JSON_PLAIN) != 0);
}

static const char std_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static rt_v encode64(rt_v s, const char *digits, bool pad) {
    const unsigned char *in = (const unsigned char *)rt_str(s);
    size_t len = rt_str_len(s);
    rt_sb sb;
    rt_sb_init(&sb, len / 3 * 4 + 4);
    for (size_t i = 0; i < len; i += 3) {
        size_t have = len - i < 3 ? len - i : 3;
        uint32_t word = (uint32_t)in[i] << 16;
        if (have > 1) word |= (uint32_t)in[i + 1] << 8;
        if (have > 2) word |= in[i + 2];
        for (size_t k = 0; k < 4; k++) {
            if (k <= have) {
                rt_sb_byte(&sb, digits[(word >> (18 - 6 * k)) & 63]);
            } else if (pad) {
                rt_sb_byte(&sb, '=');
            }
        }
    }
    return rt_sb_string(&sb);
}

static uint32_t digit64(char c, const char *digits) {
    for (uint32_t i = 0; i < 64; i++) {
        if (digits[i] == c) return i;
    }
    return 64;
}

/* Padded base64, line breaks skipped as Go does. False: *bad is the byte at fault. `out` holds 3/4 of the length. */
static bool decode64(const char *text, size_t len, const char *digits, char *out, size_t *out_len, size_t *bad) {
    size_t at = 0, made = 0;
    for (;;) {
        uint32_t word = 0;
        size_t have = 0;
        size_t start = at;
        while (have < 4) {
            if (at == len) {
                if (have == 0) {
                    *out_len = made;
                    return true;
                }
                *bad = have == 1 && at > start ? at - 1 : at - have;
                return false;
            }
            char c = text[at++];
            if (c == '\n' || c == '\r') continue;
            uint32_t digit = digit64(c, digits);
            if (digit < 64) {
                word |= digit << (18 - 6 * have++);
                continue;
            }
            if (c != '=' || have < 2) {
                *bad = at - 1;
                return false;
            }
            if (have == 2) {
                while (at < len && (text[at] == '\n' || text[at] == '\r')) at++;
                if (at == len || text[at] != '=') {
                    *bad = at == len ? len : at - 1;
                    return false;
                }
                at++;
            }
            while (at < len && (text[at] == '\n' || text[at] == '\r')) at++;
            if (at < len) {
                *bad = at;
                return false;
            }
            break;
        }
        if (have > 1) out[made++] = (char)(word >> 16);
        if (have > 2) out[made++] = (char)(word >> 8);
        if (have > 3) out[made++] = (char)word;
        if (have < 4) {
            *out_len = made;
            return true;
        }
    }
}

static rt_v from64(const char *name, const char *text, size_t len, const char *digits) {
    char *out = rt_alloc(len + 4);
    size_t made, bad;
    if (decode64(text, len, digits, out, &made, &bad)) return rt_string(out, made);
    rt_sb sb;
    rt_sb_init(&sb, 48);
    rt_sb_text(&sb, "illegal base64 data at input byte ");
    rt_sb_int(&sb, (int64_t)bad);
    return rt_builtin_error_value(name, rt_sb_string(&sb));
}

RT_EXPORT rt_v bi_base64_encode(rt_v s) {
    B_STRING("base64.encode", 1, s);
    return encode64(s, std_digits, true);
}

RT_EXPORT rt_v bi_base64_decode(rt_v s) {
    B_STRING("base64.decode", 1, s);
    return from64("base64.decode", rt_str(s), rt_str_len(s), std_digits);
}

RT_EXPORT rt_v bi_base64_is_valid(rt_v s) {
    if (rt_tag(s) != RT_STRING) return rt_bool(0);
    size_t made, bad;
    char *out = rt_alloc(rt_str_len(s) + 4);
    return rt_bool(decode64(rt_str(s), rt_str_len(s), std_digits, out, &made, &bad));
}

RT_EXPORT rt_v bi_base64url_encode(rt_v s) {
    B_STRING("base64url.encode", 1, s);
    return encode64(s, url_digits, true);
}

RT_EXPORT rt_v bi_base64url_encode_no_pad(rt_v s) {
    B_STRING("base64url.encode_no_pad", 1, s);
    return encode64(s, url_digits, false);
}

RT_EXPORT rt_v bi_base64url_decode(rt_v s) {
    B_STRING("base64url.decode", 1, s);
    size_t len = rt_str_len(s);
    rt_sb sb;
    rt_sb_init(&sb, len + 3);
    rt_sb_value(&sb, s);
    if (len == 0 || rt_str(s)[len - 1] != '=') {
        if (len % 4 == 1) {
            rt_sb message;
            rt_sb_init(&message, len + 32);
            rt_sb_text(&message, "illegal base64url string: ");
            rt_sb_value(&message, s);
            return rt_builtin_error_value("base64url.decode", rt_sb_string(&message));
        }
        rt_sb_repeat(&sb, '=', (4 - len % 4) % 4);
    }
    rt_v padded = rt_sb_string(&sb);
    return from64("base64url.decode", rt_str(padded), rt_str_len(padded), url_digits);
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

RT_EXPORT rt_v bi_hex_encode(rt_v s) {
    B_STRING("hex.encode", 1, s);
    rt_sb sb;
    rt_sb_init(&sb, 2 * rt_str_len(s));
    for (size_t i = 0; i < rt_str_len(s); i++) {
        unsigned char byte = (unsigned char)rt_str(s)[i];
        rt_sb_byte(&sb, "0123456789abcdef"[byte >> 4]);
        rt_sb_byte(&sb, "0123456789abcdef"[byte & 15]);
    }
    return rt_sb_string(&sb);
}

static rt_v bad_hex(unsigned char byte) {
    rt_sb sb;
    rt_sb_init(&sb, 64);
    rt_sb_text(&sb, "encoding/hex: invalid byte: U+00");
    rt_sb_byte(&sb, "0123456789ABCDEF"[byte >> 4]);
    rt_sb_byte(&sb, "0123456789ABCDEF"[byte & 15]);
    if (b_is_print(byte)) {
        rt_sb_text(&sb, " '");
        rt_sb_rune(&sb, byte);
        rt_sb_byte(&sb, '\'');
    }
    return rt_builtin_error_value("hex.decode", rt_sb_string(&sb));
}

RT_EXPORT rt_v bi_hex_decode(rt_v s) {
    B_STRING("hex.decode", 1, s);
    size_t len = rt_str_len(s);
    const char *text = rt_str(s);
    char *out = rt_alloc(len / 2 + 1);
    for (size_t i = 0; i < len; i++) {
        if (hex_value(text[i]) < 0) return bad_hex((unsigned char)text[i]);
        if (i % 2) out[i / 2] = (char)(hex_value(text[i - 1]) << 4 | hex_value(text[i]));
    }
    if (len % 2) return rt_builtin_error("hex.decode", "encoding/hex: odd length hex string");
    return rt_string(out, len / 2);
}
