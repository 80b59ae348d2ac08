# models/: weights that ship, as C arrays in libfastsr.a
LIB_GEN += build/gen/models_data.c

MODEL_FILES := $(addprefix models/,$(shell awk '/^[a-z]/ { print $$2 }' models/models.list))

build/gen/models_data.c: models/embed.sh models/models.list $(MODEL_FILES)
	@mkdir -p $(@D)
	sh models/embed.sh models/models.list $(if $(filter no,$(DEPTH_WEIGHTS)),depth) > $@.part
	@mv $@.part $@

build/gen/models_data.c: models/models.h build/config.mk

# For training only: what the recurrent network learns from (not part of `make`).
$(eval $(call av_program,motion_dump,models/motion_dump.c))
