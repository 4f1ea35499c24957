#!/bin/sh
# A legal hold on the containers where things come to rest: while it stands, nothing in them can be overwritten or deleted,
# whatever the retention policy says. It is an action and no property that Bicep could declare.
#
#   infra/legal-hold.sh show|set|clear RESOURCE_GROUP ACCOUNT [TAG...]
#
# A tag names the matter: 3 to 23 letters and digits. The hold stands until its last tag is cleared.
set -eu

usage="usage: legal-hold.sh show|set|clear RESOURCE_GROUP ACCOUNT [TAG...]"
action=${1:?$usage}
group=${2:?$usage}
account=${3:?$usage}
shift 3

if [ "$action" != show ] && [ $# = 0 ]; then
    echo "$usage" >&2
    exit 2
fi
for container in interactions chats resources; do
    case $action in
        show)
            az storage container legal-hold show --resource-group "$group" --account-name "$account" \
                --container-name "$container" --query "tags[].tag" --output tsv | sed "s/^/$container: /"
            ;;
        set | clear)
            az storage container legal-hold "$action" --resource-group "$group" --account-name "$account" \
                --container-name "$container" --tags "$@" --output none
            echo "$container: $action $*"
            ;;
        *)
            echo "$usage" >&2
            exit 2
            ;;
    esac
done
