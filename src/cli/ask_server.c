/* SPDX-License-Identifier: MIT */
#include "cli/ask_server.h"

#include "cli/route_table.h"

#include <stdlib.h>

vly_status vly_ask_refused(int status, const vly_buf *answer, vly_err *err)
{
    char text[VLY_ERR_MSG_MAX];

    if (vly_route_error(vly_buf_str(answer), text, sizeof(text)))
        return vly_fail(err, VLY_EINVAL, "the server says: %s", text);
    return vly_fail(err, VLY_EIO, "the server answered with status %d", status);
}

vly_status vly_ask_server(const vly_ask *ask, int *ret_status, vly_buf *answer, vly_err *err)
{
    const char *key = ask->key != NULL ? ask->key : getenv("VOLLEY_API_KEY");
    vly_http_header headers[3] = {{VLY_STR("Content-Type"), VLY_STR("application/json")}};
    size_t n_headers = 1;
    vly_http_client *client = NULL;
    vly_buf url, token;

    vly_buf_init(&url, VLY_MEM_CLI, VLY_HTTP_CLIENT_URL_MAX);
    vly_buf_init(&token, VLY_MEM_CLI, 4096);
    vly_buf_printf(&url, "%s%s", ask->server, ask->path);
    vly_buf_printf(&token, "Bearer %s", key != NULL ? key : "");
    if (key != NULL)
        headers[n_headers++] = (vly_http_header){VLY_STR("Authorization"), vly_buf_str(&token)};
    if (ask->condition.name.len > 0)
        headers[n_headers++] = ask->condition;
    const vly_http_client_request r = {.method = ask->method,
                                       .url = url.ptr,
                                       .headers = headers,
                                       .n_headers = n_headers,
                                       .body = ask->body,
                                       .ca = ask->ca,
                                       .timeout_ms = ask->timeout_ms};
    vly_status st = url.failed || token.failed
                        ? vly_fail(err, VLY_EINVAL, "--server or --key is too long")
                        : vly_http_client_new(&client, err);
    if (st == VLY_OK)
        st = vly_http_client_send(client, &r, ret_status, answer, err);
    vly_http_client_free(client);
    vly_buf_release(&token);
    vly_buf_release(&url);
    return st;
}
