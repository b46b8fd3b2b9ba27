#!/bin/bash
# What Spark's Kubernetes scheduler starts: `executor` in an executor's pod, `driver` in the driver's of cluster mode (the Spark operator);
# its contract: SPARK_* variables. Anything else runs as it is.
set -euo pipefail
if [ "${1:-}" = driver ]; then
  exec "$SPARK_HOME/bin/spark-submit" --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" --deploy-mode client "${@:2}"
fi
if [ "${1:-}" != executor ]; then exec "$@"; fi
options=()
while IFS= read -r name; do options+=("${!name}"); done < <(compgen -A variable SPARK_JAVA_OPT_ | sort -t_ -k4 -n)
exec "$JAVA_HOME/bin/java" "${options[@]}" -Xms"$SPARK_EXECUTOR_MEMORY" -Xmx"$SPARK_EXECUTOR_MEMORY" \
  -cp "${SPARK_CLASSPATH:+$SPARK_CLASSPATH:}${SPARK_CONF_DIR:-/opt/spark/conf}:$SPARK_HOME/jars/*" \
  org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
  --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES" \
  --app-id "$SPARK_APPLICATION_ID" --hostname "$SPARK_EXECUTOR_POD_IP" \
  --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" --podName "$SPARK_EXECUTOR_POD_NAME"
