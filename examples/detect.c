/* SPDX-License-Identifier: MIT */
/* Finds objects in a picture: cc detect.c $(pkg-config --cflags --libs volley) -o detect */
#include <stdio.h>
#include <volley/volley.h>

int main(int argc, char **argv)
{
    static char picture[16 << 20];
    volley_model *model = NULL;
    volley_session *session = NULL;
    volley_detections seen = {0, 0, 0, NULL};
    volley_error err = {0, "cannot read the picture"};
    FILE *file = argc == 3 ? fopen(argv[2], "rb") : NULL;
    size_t len = file != NULL ? fread(picture, 1, sizeof(picture), file) : 0;

    if (argc != 3)
        return fprintf(stderr, "usage: detect MODEL.onnx PHOTO.jpg\n"), 2;
    if (len == 0 || volley_model_load(argv[1], NULL, &model, &err) != VOLLEY_OK ||
        volley_session_new(model, NULL, &session, &err) != VOLLEY_OK ||
        volley_session_detect(session, picture, len, NULL, &seen, &err) != VOLLEY_OK)
        fprintf(stderr, "detect: %s\n", err.message);
    for (size_t i = 0; i < seen.n; i++)
        printf("%-12s %.2f  %.0f %.0f %.0f %.0f\n", seen.items[i].class_name,
               seen.items[i].confidence, seen.items[i].x1, seen.items[i].y1, seen.items[i].x2,
               seen.items[i].y2);
    volley_session_free(session);
    volley_model_free(model);
    if (file != NULL)
        fclose(file);
    return session != NULL && seen.width > 0 ? 0 : 1;
}
