/* SPDX-License-Identifier: MIT */
#include "api/metrics_text.h"

void vly_metrics_head(vly_buf *b, const char *name, const char *type, const char *help)
{
    vly_buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void vly_metrics_value(vly_buf *b, const char *name, const char *type, const char *help, double v)
{
    vly_metrics_head(b, name, type, help);
    vly_buf_printf(b, "%s %.16g\n", name, v);
}

void vly_metrics_label(vly_buf *b, const char *key, const char *value)
{
    vly_buf_printf(b, "%s=\"", key);
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '\\' || *p == '"')
            vly_buf_putc(b, '\\');
        if (*p == '\n')
            vly_buf_puts(b, "\\n");
        else
            vly_buf_putc(b, *p);
    }
    vly_buf_putc(b, '"');
}
