# codec_hooks: what the stream says
LIB_SRC += codec_hooks/record.c
