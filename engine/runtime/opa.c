/* OPA's WebAssembly ABI 1.3: what a host's SDK calls, apart from what the policy's own code defines (eval, opa_eval, builtins,
 * entrypoints). It must not know how values are stored beyond rt.h.
 */
#include "rt.h"

typedef struct {
    rt_v input;
    rt_v data;
    int32_t entrypoint;
    rt_v result;
} context;

RT_EXPORT rt_v opa_json_parse(const char *text, size_t len);
RT_EXPORT rt_v opa_value_parse(const char *text, size_t len);
RT_EXPORT const char *opa_json_dump(rt_v v);
RT_EXPORT const char *opa_value_dump(rt_v v);
RT_EXPORT rt_v rt_read(const char *text, size_t len, int32_t form);
RT_EXPORT const char *rt_write(rt_v v, int32_t form);
RT_EXPORT context *opa_eval_ctx_new(void);
RT_EXPORT void opa_eval_ctx_set_input(context *ctx, rt_v v);
RT_EXPORT void opa_eval_ctx_set_data(context *ctx, rt_v v);
RT_EXPORT void opa_eval_ctx_set_entrypoint(context *ctx, int32_t entrypoint);
RT_EXPORT rt_v opa_eval_ctx_get_result(const context *ctx);
RT_EXPORT int32_t opa_value_add_path(rt_v base, rt_v path, rt_v value);
RT_EXPORT int32_t opa_value_remove_path(rt_v base, rt_v path);

rt_v opa_json_parse(const char *text, size_t len) { return rt_json_read(text, len, RT_JSON_PLAIN); }

rt_v opa_value_parse(const char *text, size_t len) { return rt_json_read(text, len, RT_JSON_VALUE); }

/* The address of NUL-terminated text. */
static const char *dump(rt_v v, int flags) {
    rt_sb sb;
    rt_sb_init(&sb, 256);
    rt_sb_json(&sb, v, flags);
    return rt_str(rt_sb_string(&sb));
}

const char *opa_json_dump(rt_v v) { return dump(v, RT_JSON_PLAIN); }

const char *opa_value_dump(rt_v v) { return dump(v, RT_JSON_VALUE); }

static int flags_of(int32_t form) {
    if (form == RT_TEXT_JSON) return RT_JSON_PLAIN;
    return form == RT_TEXT_HOST ? RT_JSON_VALUE | RT_JSON_BYTES : RT_JSON_VALUE;
}

rt_v rt_read(const char *text, size_t len, int32_t form) { return rt_json_read(text, len, flags_of(form)); }

const char *rt_write(rt_v v, int32_t form) { return dump(v, flags_of(form)); }

context *opa_eval_ctx_new(void) {
    context *ctx = rt_alloc(sizeof *ctx);
    *ctx = (context){0};
    return ctx;
}

void opa_eval_ctx_set_input(context *ctx, rt_v v) { ctx->input = v; }
void opa_eval_ctx_set_data(context *ctx, rt_v v) { ctx->data = v; }
void opa_eval_ctx_set_entrypoint(context *ctx, int32_t entrypoint) { ctx->entrypoint = entrypoint; }
rt_v opa_eval_ctx_get_result(const context *ctx) { return ctx->result; }

/* OPA's error codes of the path functions. */
#define PATH_OK 0
#define PATH_BAD_TYPE 2
#define PATH_BAD_PATH 3

/* The object that holds the last step of the path, made on the way when `make`; 0 when there is none. */
static rt_v parent_of(rt_v base, rt_v path, bool make) {
    uint32_t steps = rt_array_len(path);
    rt_v node = base;
    for (uint32_t i = 0; i + 1 < steps; i++) {
        rt_v key = rt_array_at(path, i);
        if (rt_tag(node) != RT_OBJECT) return 0;
        rt_v child = rt_object_get(node, key);
        if (!child && make) {
            child = rt_object(1);
            rt_object_put(node, key, child);
        }
        node = child;
    }
    return rt_tag(node) == RT_OBJECT ? node : 0;
}

int32_t opa_value_add_path(rt_v base, rt_v path, rt_v value) {
    if (rt_tag(base) != RT_OBJECT || rt_tag(path) != RT_ARRAY) return PATH_BAD_TYPE;
    if (rt_array_len(path) == 0) return PATH_BAD_PATH;
    rt_v parent = parent_of(base, path, true);
    if (!parent) return PATH_BAD_PATH;
    rt_object_put(parent, rt_array_at(path, rt_array_len(path) - 1), value);
    return PATH_OK;
}

int32_t opa_value_remove_path(rt_v base, rt_v path) {
    if (rt_tag(base) != RT_OBJECT || rt_tag(path) != RT_ARRAY) return PATH_BAD_TYPE;
    if (rt_array_len(path) == 0) return PATH_BAD_PATH;
    rt_v parent = parent_of(base, path, false);
    if (!parent) return PATH_BAD_PATH;
    rt_object_remove(parent, rt_array_at(path, rt_array_len(path) - 1));
    return PATH_OK;
}
