/* SPDX-License-Identifier: MIT */
#include "cli/read_settings.h"

#include "sys/profile.h"

#include <unistd.h>

vly_status vly_read_settings_begin(vly_config *c, const char *file, vly_err *err)
{
    vly_status st = file != NULL ? vly_config_load_file(c, file, err) : VLY_OK;

    return st == VLY_OK ? vly_config_load_env(c, environ, err) : st;
}

vly_status vly_read_settings_option(vly_config *c, const char *name, const char *value,
                                    vly_err *err)
{
    if (value == NULL)
        return VLY_OK;
    return vly_config_set(c, vly_str_from(name), vly_str_from(value), VLY_CONFIG_ARG, err);
}

vly_status vly_read_settings_end(vly_config *c, const char *profile, const vly_opt_list *set,
                                 vly_err *err)
{
    vly_status st = vly_read_settings_option(c, "profile", profile, err);

    for (size_t i = 0; st == VLY_OK && i < set->n; i++)
        st = vly_config_set_arg(c, set->item[i], err);
    return st == VLY_OK ? vly_config_complete(c, err) : st;
}
